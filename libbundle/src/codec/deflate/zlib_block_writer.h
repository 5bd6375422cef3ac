#pragma once

#include <array>
#include <optional>
#include <span>
#include <utility>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/deflate_format.h"
#include "codec/deflate/huffman_code.h"
#include "codec/deflate/token_writer.h"
#include "codec/deflate/zlib_trees.h"

namespace bundle::codec {

/// How zlib chooses among stored, fixed and dynamic blocks, and writes them.
class ZlibBlockWriter {
 public:
  /// `fixed_only`: strategy Z_FIXED.
  ZlibBlockWriter(ByteSink sink, bool fixed_only)
      : bits_(std::move(sink)), fixed_only_(fixed_only) {}

  /// Without `plain` (it left the window) stored is out.
  void write(std::span<const Token> tokens, SymbolCounts& counts,
             std::optional<std::span<const uint8_t>> plain, bool last) {
    counts.literals[kEndOfBlock] = 1;
    BitString description;
    const CodeLengths lengths = zlib_code_lengths(counts.literals, counts.distances, description);
    const uint64_t extra = extra_bits(counts);
    uint64_t dynamic = 0;
    uint64_t fixed = coded_bits(counts.literals, fixed_literal_code()) +
                     coded_bits(counts.distances, fixed_distance_code());
    for (size_t i = 0; i < kLiteralSymbols; ++i)
      dynamic += uint64_t{counts.literals[i]} * lengths.literals[i];
    for (size_t i = 0; i < kDistanceSymbols; ++i)
      dynamic += uint64_t{counts.distances[i]} * lengths.distances[i];
    const uint64_t fixed_bytes = bytes_of(fixed + extra);
    uint64_t least = bytes_of(dynamic + extra + description.size);
    if (fixed_bytes <= least || fixed_only_) least = fixed_bytes;
    if (plain && plain->size() + 4 <= least) {
      write_stored(*plain, last);
      return;
    }
    if (fixed_bytes == least) {
      bits_.put(kFixedBlock | unsigned{last}, 3);
      body_.use(fixed_literal_code(), fixed_distance_code());
    } else {
      bits_.put(kDynamicBlock | unsigned{last}, 3);
      bits_.put_string(description.bytes, description.size);
      use(lengths);
    }
    body_.write(bits_, tokens);
    body_.write_end_of_block(bits_);
  }
  void write_stored(std::span<const uint8_t> plain, bool last) {
    bits_.put(unsigned{last}, 3);
    bits_.align();
    bits_.put(plain.size() | (~plain.size() & 0xffff) << 16, 32);
    bits_.put_bytes(plain);
  }
  void write_empty_fixed() { bits_.put(kFixedBlock, kEmptyFixedBits); }

  BitWriter& bits() { return bits_; }

 private:
  static constexpr unsigned kFixedBlock = 1 << 1;
  static constexpr unsigned kDynamicBlock = 2 << 1;
  static constexpr unsigned kEmptyFixedBits = 10;

  static uint64_t bytes_of(uint64_t bits) { return (bits + 3 + 7) >> 3; }
  static uint64_t extra_bits(const SymbolCounts& counts) {
    uint64_t bits = 0;
    for (size_t i = 0; i < kLengthSymbols; ++i)
      bits += uint64_t{counts.literals[kFirstLengthSymbol + i]} * kLengthExtraBits[i];
    for (size_t i = 0; i < kDistanceSymbols; ++i)
      bits += uint64_t{counts.distances[i]} * distance_extra_bits(i);
    return bits;
  }
  void use(const CodeLengths& lengths) {
    std::array<CodeWord, kLiteralSymbols> literals;
    std::array<CodeWord, kDistanceSymbols> distances;
    assign_code_words(lengths.literals, literals);
    assign_code_words(lengths.distances, distances);
    body_.use(literals, distances);
  }

  BitWriter bits_;
  const bool fixed_only_;
  TokenWriter body_;
};

}  // namespace bundle::codec
