#include <cstddef>

#include "codec/x86_filter.h"

using namespace bundle;

// Any bytes, filtered and back, are the same; and what a reader gets may be anything.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, data + size);
  Bytes both = bytes;
  codec::x86_filter_encode(both);
  codec::x86_filter_decode(both);
  if (both != bytes) __builtin_trap();
  codec::x86_filter_decode(both);
  return 0;
}
