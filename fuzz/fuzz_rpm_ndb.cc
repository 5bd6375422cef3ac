// rpm's database "ndb": bytes of image layers.
#include <cstddef>

#include "attest/rpm_ndb.h"

using namespace bundle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::size_t handed_out = 0;
  attest::read_rpm_ndb({data, size}, [&](ByteView header) { handed_out += header.size(); });
  if (handed_out > size) __builtin_trap();
  return 0;
}
