#include <algorithm>
#include <cstddef>

#include "bundle/error.h"
#include "codec/difference.h"

using namespace bundle;

// Two bytes: how many bytes are the older ones; two: the plain size; then both, then a difference.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const ByteView rest = ByteView(data, size).subspan(4);
  const std::size_t old_size = std::min<std::size_t>(load_le<std::uint16_t>(data), rest.size());
  const ByteView old = rest.first(old_size);
  const ByteView other = rest.subspan(old_size);
  Bytes plain(other.size());
  codec::apply_difference(old, codec::make_difference(old, other), plain, "own");
  if (!std::ranges::equal(plain, other)) __builtin_trap();
  Bytes foreign(load_le<std::uint16_t>(data + 2));
  try {
    codec::apply_difference(old, other, foreign, "input");
  } catch (const Error&) {
  }
  return 0;
}
