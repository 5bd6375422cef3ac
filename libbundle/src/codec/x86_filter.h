// x86-64 programs made easier to compress: docs/bundle-format.md section 4.6.
#pragma once

#include <span>

#include "base/bytes.h"

namespace bundle::codec {

// Calls, jumps and accesses to data name their target by the distance from the next instruction, so
// one target has another value at each place. The filter writes the place of the target within the
// program instead, in the code of each ELF file of x86-64 that begins in `bytes`; all else stays.
// Works in place; any bytes are valid. Returns the bytes of code that it went over: 0: no change.
std::size_t x86_filter_encode(std::span<std::uint8_t> bytes);
// The inverse, for what encode left.
void x86_filter_decode(std::span<std::uint8_t> bytes);

}  // namespace bundle::codec
