#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/deflate_format.h"
#include "codec/deflate/huffman_code.h"

namespace bundle::codec {

/// The description of two Huffman codes at the start of a dynamic block (RFC 1951 3.2.7), with
/// the run-length choices of the Go family of encoders: greedy and longest first.
class DynamicHeader {
 public:
  /// Describes the given code words (257..286 literals and 1..30 distances).
  void plan(std::span<const CodeWord> literals, std::span<const CodeWord> distances);

  /// Bits of the whole header, block type included.
  uint64_t bits() const { return bits_; }

  void write(BitWriter& writer, bool final_block) const;

 private:
  struct Item {
    uint8_t symbol;
    uint8_t repeat;
  };

  void add(unsigned symbol, unsigned repeat = 0);
  void add_run(unsigned length, size_t count);

  std::array<Item, kLiteralSymbols + kDistanceSymbols> items_;
  size_t item_count_ = 0;
  std::array<uint32_t, kHeaderSymbols> weights_;
  std::array<CodeWord, kHeaderSymbols> codes_;
  size_t literal_count_ = 0;
  size_t distance_count_ = 0;
  size_t order_count_ = 0;
  uint64_t bits_ = 0;
};

}  // namespace bundle::codec
