// From a spec to content: every source opened, every tag pinned, every file packed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "crypto/digest.h"
#include "io/file_system.h"
#include "io/stream.h"
#include "oci/content.h"
#include "oci/text_tree.h"
#include "release/manifest.h"
#include "spec/spec.h"

namespace bundle::spec {

// One blob that the release is made of.
struct BlobInput {
  Digest digest;
  std::uint64_t size = 0;
  std::string media_type;  // as the descriptor that names it says
  std::string origin;      // for messages and for grouping: "registry.example.com/app/server:1.4.0"
  // A fresh stream from the first byte; may be called any number of times, from any thread. The
  // stream of a file reads what is on disk now: whoever consumes it checks size and digest.
  std::function<std::unique_ptr<Source>()> open;
};

// A blob whose bytes are at hand; its streams keep them alive.
BlobInput memory_blob(const oci::Descriptor& descriptor, Bytes bytes, std::string origin);

struct ResolveOptions {
  oci::SourceOpener open_source;             // how to open ImageSpec::source
  UnixTime created = 0;                      // recorded in the manifest; build_time() for `make`
  std::uint32_t default_expires_days = 365;  // when the spec says nothing
  // Whether ReleaseSpec::signatures come along. Not while they are being made.
  bool signatures = true;
};

// What the closure check looks at; only of a release with desired state.
struct DesiredState {
  oci::TextTree chart;  // as packed: "<chart>/templates/web.yaml"
  std::string app_version;
  oci::TextTree files;  // of the Flux artifact
};

struct ResolvedRelease {
  release::Manifest manifest;
  std::optional<DesiredState> desired_state;
  UnixTime expires = 0;
  // Without duplicates and in the order of the manifest: documents (manifests, indexes), configs,
  // then the layers artifact by artifact, files last. Equal inputs give the equal order.
  std::vector<BlobInput> blobs;
};

// Opens each image source, walks what it names for the chosen platforms, packs chart and files as
// OCI artifacts, writes the index of them all, and adds the signatures that were made for them.
// `fs` and what the sources need must outlive the result's streams.
// Throws Error{name_collision} when one name would have two digests, Error{oci_invalid},
// Error{not_found} (a blob, a platform, a file), Error{spec_invalid} (the chart's Chart.yaml, a
// name@digest whose source has another digest, a signature of something else), Error{limit} and
// what the sources throw. Peak memory: the documents and the packed chart; files and layers are
// streamed.
ResolvedRelease resolve(FileSystem& fs, const ReleaseSpec& spec, const ResolveOptions& options);

}  // namespace bundle::spec
