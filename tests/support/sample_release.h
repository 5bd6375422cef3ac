// A small but complete release, made on the spot in well under a second: two images with gzip
// layers (Python-like texts, files that occur twice, runs of zeros, one that does not compress), a
// chart, a disk image and two files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "bundle/make.h"

namespace bundle::testing {

struct SampleOptions {
  std::string version = "1.0.0";
  std::string upgrade_from = "[]";  // YAML
  std::string more = {};            // further lines of release.yaml
  // Bytes of the disk image that do not compress: what most of the packs is made of.
  std::uint64_t opaque_bytes = 3 << 20;
  std::size_t modules = 120;  // Python-like files a layer
  // The base layer as an unknown program packs it: flushed in places, in two gzip members.
  bool odd_gzip = false;
  std::int64_t layer_time = 1'700'000'000;  // of every file in a layer
};

// Writes release.yaml and everything that it names. Options equal, bytes equal; what two versions
// share (the base layer, most modules, most of the disk image) is equal as well.
void write_sample_inputs(const std::filesystem::path& folder, const SampleOptions& options = {});

struct SampleKey {
  std::filesystem::path secret;  // without a password
  std::filesystem::path open;    // the public key
  std::string id;
};
// Makes NAME.key and NAME.pub.
SampleKey make_sample_key(const std::filesystem::path& name);

// The smallest volume size that a sample release accepts, and a little more.
inline constexpr std::uint64_t kSampleVolume = (2 << 20) + (100 << 10);

// make_bundle with the fast profile. Without a key the bundle is unsigned.
MakeReport make_sample_bundle(const std::filesystem::path& inputs, const std::filesystem::path& out,
                              const std::optional<SampleKey>& key,
                              std::uint64_t volume_size = kDefaultVolumeBytes);

// Inputs and bundle in one step; the inputs stand in OUT.inputs.
MakeReport make_sample_release(const std::filesystem::path& out,
                               const std::optional<SampleKey>& key,
                               const SampleOptions& options = {},
                               std::uint64_t volume_size = kDefaultVolumeBytes);

// Sets an environment variable for as long as it lives.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value);
  ~ScopedVariable();
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

// From here on temporary directories are in memory when the machine has room for it: the code under
// test syncs often, and what a disk does with that is not the subject. Call before the first
// TempDirectory.
void keep_temporary_files_in_memory();

}  // namespace bundle::testing
