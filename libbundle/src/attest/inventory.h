// What a release consists of, down to the packages in its images.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "attest/layer_scanner.h"
#include "release/manifest.h"
#include "spec/resolve.h"

namespace bundle::attest {

struct FoundPackage {
  Package package;
  std::string path;  // the file that says so; of several the first by name
};

// One image for one platform: layers laid over each other, as a container sees them.
struct ImageInventory {
  std::string name;  // Artifact::name
  std::string registry;
  std::string repository;
  std::string tag;
  oci::Descriptor manifest;
  std::string platform;                // may be empty
  std::vector<FoundPackage> packages;  // sorted, each once
  std::vector<std::string> problems;   // why the list may be incomplete; sorted
};

// A plain file that is a program with a list of its modules.
using ProgramPackages = std::vector<FoundPackage>;

struct Inventory {
  std::vector<ImageInventory> images;            // in the order of the manifest
  std::map<std::string, ProgramPackages> files;  // by FileArtifact::name
};

// Whether a scan of this blob can find something: layers and plain files.
bool is_worth_scanning(const spec::BlobInput& blob);

using ContentsByBlob = std::map<Digest, BlobContents>;

// `blobs` are the release's; documents among them are read again from memory. Throws what reading
// them throws. Peak memory: the result; package names are held once more while it is made.
Inventory take_inventory(const release::Manifest& manifest,
                         const std::vector<spec::BlobInput>& blobs, const ContentsByBlob& contents);

}  // namespace bundle::attest
