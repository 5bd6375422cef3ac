// Finds packages in a blob while its plain bytes pass by: no reading of its own, no second pass.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "attest/package_files.h"
#include "io/stream.h"

namespace bundle::attest {

// Package files of one layer, and whiteouts of one layer; real ones have some thousands.
inline constexpr std::size_t kMaxLayerFiles = 65'536;
inline constexpr std::size_t kMaxWhiteouts = 65'536;
inline constexpr std::size_t kMaxPackagePath = 1024;

struct FoundFile {
  std::string path;  // as in the image, without "./"; empty for the blob itself
  bool is_os_release = false;
  PackageList list;
};

// What one layer (or one plain file) says about packages.
struct BlobContents {
  std::vector<FoundFile> files;  // in the order of the tar
  // Whiteouts (OCI image-spec layer.md): paths of lower layers that this one removes, and folders
  // whose content of lower layers it hides.
  std::vector<std::string> removed;
  std::vector<std::string> emptied;
  std::vector<std::string> problems;  // why this may be incomplete
};

// Takes plain (inflated) bytes of a tar, a Go program, a zstd file of either, or of anything else,
// in which it finds nothing. Never throws for what it reads. Not thread-safe. Memory: one package
// file (package_file_limit), what is found, and for zstd 2^kMaxStreamWindowLog bytes at most.
class BlobScanner final : public Sink {
 public:
  BlobScanner();
  ~BlobScanner() override;

  void write(ByteView bytes) override;
  BlobContents finish();

 private:
  class Content;
  class Unpacker;
  std::unique_ptr<Unpacker> unpacker_;
};

}  // namespace bundle::attest
