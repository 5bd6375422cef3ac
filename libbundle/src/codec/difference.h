// Bytes as their difference from similar bytes: docs/bundle-format.md section 4.7.
#pragma once

#include <span>
#include <string_view>

#include "base/bytes.h"

namespace bundle::codec {

// Programs of two releases differ in addresses all over, but by few values: stretches that are much
// alike are aligned and subtracted (as bsdiff does, Percival, "Naive differences of executable
// code", 2003, but with seeds of a hash table in place of a suffix array). Linear time; memory: 16
// MiB and the result.
Bytes make_difference(ByteView old, ByteView plain);

// Fills `plain` from what make_difference gave. Throws Error{pack_corrupt} naming `what` when it is
// not such, or not of that many bytes.
void apply_difference(ByteView old, ByteView difference, std::span<std::uint8_t> plain,
                      std::string_view what);

}  // namespace bundle::codec
