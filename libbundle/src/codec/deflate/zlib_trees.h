#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/deflate_format.h"

namespace bundle::codec {

/// Bits, lowest first.
struct BitString {
  std::vector<uint8_t> bytes;
  uint32_t size = 0;

  void add(uint32_t value, unsigned length);
  bool operator==(const BitString&) const = default;
};

struct CodeLengths {
  std::array<uint8_t, kLiteralSymbols> literals{};
  std::array<uint8_t, kDistanceSymbols> distances{};
};

/// The code lengths that zlib (and GNU gzip, zlib-ng, JDK) choose for these symbol counts, and
/// their description as a dynamic block starts with it (RFC 1951 3.2.7, from HLIT on). A Huffman
/// tree by a heap in which equal weights are ordered by depth, cut to length as described in zlib's
/// trees.c.
CodeLengths zlib_code_lengths(std::span<const uint32_t> literals,
                              std::span<const uint32_t> distances, BitString& description);

}  // namespace bundle::codec
