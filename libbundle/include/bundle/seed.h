// What a fresh cluster is given so that Flux brings it to an imported release.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bundle/progress.h"

namespace bundle {

struct SeedOptions {
  std::filesystem::path store;
  std::string version;         // empty: the active release
  std::filesystem::path site;  // site.yaml; empty: STORE/site.yaml
  std::filesystem::path out;   // folder for the seed; files of an earlier seed in it are replaced
  // A Git repository with a work tree that gets the desired state as one commit more; made when it
  // is not there. Empty: the cluster takes the state from the registry.
  std::filesystem::path git;
  std::filesystem::path ca_file;     // certificate of the registry's authority (PEM)
  std::filesystem::path cosign_key;  // the vendor's public key for the cluster (PEM)
  bool dry_run = false;              // nothing is written
};

struct SeedReport {
  std::string product;
  std::string version;
  std::string profile;
  std::string digest;              // of the Flux artifact
  std::vector<std::string> files;  // below `out`, sorted; manifests in the order of applying
  std::string commit;              // of the Git repository; empty without one or in a dry run
  std::vector<std::string> notes;  // what is left to do by hand, one sentence each
};

// Verifies the release again, reads its Flux artifact from the store and renders the templates. No
// secret is written; the same input gives the same bytes, and in Git the same commits.
// Throws Error{release_unknown|store_corrupt|spec_invalid|config_invalid|key_invalid|not_found|
// signature_invalid|no_space|read_only|io_error}. Peak memory: the artifact, at most 64 MiB.
SeedReport write_seed(const SeedOptions& options, const Cancel& cancel);

}  // namespace bundle
