// Artifacts into a registry: what it lacks and nothing else, with their signatures and
// attestations, digests unchanged.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bundle/error.h"
#include "bundle/progress.h"
#include "oci/content.h"
#include "oci/reference.h"
#include "transfer/registry_client.h"

namespace bundle::transfer {

// One artifact to push. The digest of `target` does not matter; without a tag it is pushed by
// digest only.
struct PushArtifact {
  oci::ImageName target;
  std::shared_ptr<oci::ContentSource> source;  // of an index it may hold a part only
};

enum class PushState : std::uint8_t { present, pushed, pending, failed };

struct PushResult {
  PushState state = PushState::present;
  std::uint64_t documents = 0;  // that were, or would be, pushed
  std::optional<Error> error;
  std::string note;  // for people: what is not as it was asked for
};

struct PushTotals {
  std::uint64_t blobs_present = 0;
  std::uint64_t blobs_mounted = 0;
  std::uint64_t blobs_sent = 0;  // of a dry run: that would be sent, or mounted
  std::uint64_t bytes_sent = 0;
};

struct PushWork {
  std::vector<PushArtifact> artifacts;  // all in one registry
  // Opens a blob whose bytes were compared with its digest. Called from any worker.
  std::function<std::unique_ptr<ReadableFile>(const oci::Descriptor&)> open_blob;
  bool dry_run = false;
  // Also asks for every blob of artifacts whose manifests are there.
  bool recheck = false;
  // Where a registry refuses an index of which parts are absent, its tag names the one image that
  // the release carries of it; if there are several, the index is left out. A note tells.
  bool single_platform = false;
  std::size_t workers = 4;
  std::uint64_t chunk_bytes = 64 << 20;
  std::uint64_t bytes_per_second = 0;  // 0: no limit
};

// Results are in the order of the artifacts. An artifact's failure does not stop the others, and
// none of it gets a tag; what no artifact would survive is thrown:
// Error{network|timeout|tls_failed|cancelled}. Blobs come first, then manifests before the indexes
// that name them, the tag last. Memory: the documents of all artifacts (the release's manifests),
// a send buffer a worker.
std::vector<PushResult> push_artifacts(std::shared_ptr<RegistryClient> client, const PushWork& work,
                                       PushTotals& totals, Progress& progress,
                                       const Cancel& cancel);

}  // namespace bundle::transfer
