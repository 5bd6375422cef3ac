// rpm's older databases: bytes of image layers.
#include <cstddef>

#include "attest/berkeley_hash.h"

using namespace bundle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint32_t kMaxValue = 1 << 20;
  std::size_t handed_out = 0;
  attest::read_berkeley_hash({data, size}, kMaxValue, [&](ByteView key, ByteView value) {
    handed_out += key.size() + value.size();
  });
  if (handed_out > size) __builtin_trap();
  return 0;
}
