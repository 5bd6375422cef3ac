// Watches a release being made and writes down what it consists of and how it was made.
#pragma once

#include <string>
#include <vector>

#include "attest/inventory.h"
#include "attest/layer_scanner.h"
#include "spec/resolve.h"

namespace bundle::attest {

struct BuildFacts {
  std::string builder;                     // URI of who runs the build
  Digest spec;                             // of the release file
  std::vector<std::string> image_sources;  // ImageSpec::source, in the order of the manifest
  PackageList os_packages;                 // of the OS image, when the release file names a list
};

// Not thread-safe, but scanners are independent of each other: each may work on its own thread.
class ReleaseAttestor {
 public:
  explicit ReleaseAttestor(BuildFacts facts) : facts_(std::move(facts)) {}

  // Give a blob that is_worth_scanning() to a BlobScanner and what it found to add(). In any order:
  // the result depends on the contents only.
  void add(const Digest& blob, BlobContents contents);

  // The SBOM and the provenance as referrers of manifest.release_index, into which they are
  // entered; returns their blobs, less those that the release has already. Call it once, at the
  // end.
  std::vector<spec::BlobInput> attest(release::Manifest& manifest,
                                      const std::vector<spec::BlobInput>& blobs);

 private:
  BuildFacts facts_;
  ContentsByBlob contents_;
};

}  // namespace bundle::attest
