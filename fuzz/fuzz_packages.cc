// Package lists of strangers: each parser by the first byte, and whole blobs through the scanner.
#include <cstddef>

#include "attest/layer_scanner.h"
#include "attest/package_files.h"

using namespace bundle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr int kKinds = static_cast<int>(attest::PackageFile::rpm_journal) + 1;
  const int choice = data[0] % (kKinds + 2);
  attest::PackageList list;
  if (choice < kKinds) {
    list = attest::parse_package_file(static_cast<attest::PackageFile>(choice), text,
                                      std::string(text));
  } else if (choice == kKinds) {
    list = attest::parse_package_manifest(text);
  } else {
    attest::BlobScanner scanner;
    scanner.write(as_bytes(text.substr(0, text.size() / 2)));
    scanner.write(as_bytes(text.substr(text.size() / 2)));
    for (const auto& file : scanner.finish().files) {
      for (const auto& package : file.list.packages) list.packages.push_back(package);
    }
  }
  for (const attest::Package& package : list.packages) {
    if (!attest::is_sane(package)) __builtin_trap();
    if (!attest::package_url(package).starts_with("pkg:")) __builtin_trap();
  }
  return 0;
}
