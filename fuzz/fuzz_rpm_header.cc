// The header of a package in an rpm database: bytes of image layers.
#include <cstddef>

#include "attest/package.h"
#include "attest/rpm_header.h"

using namespace bundle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const attest::PackageList list = attest::parse_rpm_header({data, size});
  if (list.packages.size() > 1) __builtin_trap();
  for (const attest::Package& package : list.packages) {
    if (!attest::is_sane(package)) __builtin_trap();
    if (!attest::package_url(package).starts_with("pkg:rpm/")) __builtin_trap();
  }
  return 0;
}
