// A release of a site store into an OCI registry that the site runs already: images, chart and
// files with their signatures, digests unchanged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "bundle/registry_access.h"

namespace bundle {

// How `docker.io/library/redis` is called at `registry.example.com/mirror`.
enum class PushNames : std::uint8_t {
  full,       // registry.example.com/mirror/docker.io/library/redis: never ambiguous
  repository  // registry.example.com/mirror/library/redis: what node mirrors without rewrites ask
};

struct PushOptions {
  std::filesystem::path store;
  std::string version;
  std::string to;  // REGISTRY[/PREFIX]: "registry.example.com:5000/mirror"
  PushNames names = PushNames::full;
  RegistryAccess access;
  bool dry_run = false;
  bool recheck = false;          // also ask for every blob of artifacts that are there
  bool single_platform = false;  // a registry that refuses a sparse index gets its one image
  unsigned connections = 4;
  std::uint64_t chunk_bytes = 64 << 20;  // of an upload, in one request
  std::uint64_t bytes_per_second = 0;    // of all connections together; 0: no limit
};

struct PushedArtifact {
  std::string name;    // in the release: "docker.io/library/redis:7.2"
  std::string target;  // in the registry
  std::string digest;
  std::string state;            // "present", "pushed", "pending" (dry run), "failed"
  std::uint64_t documents = 0;  // manifests that were, or would be, pushed
  std::string note;             // what is not as asked for, for people
  // Of a failure, as in bundle/error.h.
  int exit_status = 0;
  std::string message;
  std::string hint;
};

struct PushReport {
  std::string product;
  std::string version;
  std::string to;
  bool dry_run = false;
  std::vector<PushedArtifact> artifacts;  // in the order of the release
  std::uint64_t blobs_present = 0;
  std::uint64_t blobs_mounted = 0;
  std::uint64_t blobs_sent = 0;  // of a dry run: that would be sent
  std::uint64_t bytes_sent = 0;
  double seconds = 0;

  // The exit status of the first failure; 0 without one.
  int exit_status() const {
    for (const PushedArtifact& artifact : artifacts) {
      if (artifact.exit_status != 0) return artifact.exit_status;
    }
    return 0;
  }
};

// The release is verified again, by the site's root, before anything is asked; every blob is
// compared with its digest before a byte of it is sent. What the registry has is not sent; run it
// again after an interruption. One artifact's failure is told in the report and does not stop the
// others. Reads the store only, no lock; gc of the same release meanwhile fails the push.
// Throws Error{usage, release_unknown, release_incomplete, revoked, store_corrupt, name_collision,
// network, timeout, tls_failed, cancelled} and those of verification. Memory: as an import.
PushReport push_release(const PushOptions& options, Progress& progress, const Cancel& cancel);

}  // namespace bundle
