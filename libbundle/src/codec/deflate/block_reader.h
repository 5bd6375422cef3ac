#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/deflate_format.h"
#include "codec/deflate/huffman_code.h"
#include "codec/deflate/token_writer.h"
#include "codec/deflate/zlib_trees.h"

namespace bundle::codec {

enum class BlockType : uint8_t { stored = 0, fixed = 1, dynamic = 2 };

/// One deflate block, taken apart.
struct DeflateBlock {
  BlockType type = BlockType::stored;
  bool final_block = false;
  std::vector<Token> tokens;  // none in a stored block
  BitString description;      // of the codes of a dynamic block: from HLIT on
  std::vector<uint8_t> plain;
};

/// Reads the description of a dynamic block's codes bit by bit from `read_bits(count)`; false when
/// it breaks RFC 1951 (incomplete codes are let through: Go makes them).
template <typename ReadBits>
bool read_code_lengths(ReadBits&& read_bits, CodeLengths& lengths);

/// Takes a raw deflate stream apart, block by block. Strict where a stream could not be made again
/// from its parts: padding bits are zero, and a length of 258 has its own symbol.
/// Memory: a block and its compressed bytes (limits below). Not thread-safe.
class BlockReader {
 public:
  static constexpr size_t kMaxTokens = size_t{1} << 20;
  static constexpr size_t kMaxPlain = size_t{9} << 20;

  enum class Status : uint8_t { block, need_more, refused, end };

  BlockReader();
  ~BlockReader();

  /// Begins at a block in the middle of a stream: `bit` (0 to 7) of the first byte that is fed.
  /// `history` is what comes before it; at most its last 32 KiB count.
  void begin(unsigned bit, std::span<const uint8_t> history);
  void feed(std::span<const uint8_t> compressed);
  /// The next block. need_more: feed and call again. refused: breaks RFC 1951, a rule above or a
  /// limit. end: the last block was given and nothing follows it.
  Status next(DeflateBlock& block);
  /// Bits of the blocks given so far.
  uint64_t bits_read() const { return bits_read_; }

 private:
  struct Tables;
  class Bits;
  Status read_stored(Bits& bits, DeflateBlock& block);
  Status read_tokens(Bits& bits, DeflateBlock& block);
  void keep_history(std::span<const uint8_t> plain);

  std::unique_ptr<Tables> tables_;
  std::vector<uint8_t> buffer_;   // compressed bytes from the one that holds the next block's start
  unsigned bit_ = 0;              // of its first byte
  std::vector<uint8_t> history_;  // at most the last 32 KiB
  bool ended_ = false;
  uint64_t bits_read_ = 0;
};

template <typename ReadBits>
bool read_code_lengths(ReadBits&& read_bits, CodeLengths& lengths) {
  const size_t literal_count = read_bits(5) + 257;
  const size_t distance_count = read_bits(5) + 1;
  const size_t order_count = read_bits(4) + 4;
  if (literal_count > kLiteralSymbols || distance_count > kDistanceSymbols) return false;
  std::array<uint8_t, kHeaderSymbols> header{};
  for (size_t i = 0; i < order_count; ++i) {
    header[kHeaderOrder[i]] = static_cast<uint8_t>(read_bits(3));
  }
  std::array<CodeWord, kHeaderSymbols> codes;
  if (!is_prefix_code(header)) return false;
  assign_code_words(header, codes);
  const auto read_symbol = [&]() -> size_t {
    uint32_t word = 0;
    for (unsigned length = 1; length <= 7; ++length) {
      word |= read_bits(1) << (length - 1);
      for (size_t symbol = 0; symbol < kHeaderSymbols; ++symbol) {
        if (codes[symbol].length == length && codes[symbol].bits == word) return symbol;
      }
    }
    return kHeaderSymbols;
  };
  std::array<uint8_t, kLiteralSymbols + kDistanceSymbols> all{};
  const size_t count = literal_count + distance_count;
  for (size_t i = 0; i < count;) {
    const size_t symbol = read_symbol();
    if (symbol == kHeaderSymbols) return false;
    if (symbol < 16) {
      all[i++] = static_cast<uint8_t>(symbol);
      continue;
    }
    if (symbol == 16 && i == 0) return false;
    const uint8_t value = symbol == 16 ? all[i - 1] : uint8_t{0};
    size_t repeat = symbol == 16   ? 3 + read_bits(2)
                    : symbol == 17 ? 3 + read_bits(3)
                                   : 11 + read_bits(7);
    if (repeat > count - i) return false;
    for (; repeat > 0; --repeat) all[i++] = value;
  }
  lengths = {};
  std::copy_n(all.begin(), literal_count, lengths.literals.begin());
  std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(literal_count), distance_count,
              lengths.distances.begin());
  return lengths.literals[kEndOfBlock] != 0 && is_prefix_code(lengths.literals) &&
         is_prefix_code(lengths.distances);
}

}  // namespace bundle::codec
