#pragma once

#include <cstdint>
#include <span>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/token_writer.h"

namespace bundle::codec {

/// Where a block of the stream starts: bytes and bits before it. Bits are counted from the start of
/// the byte in which the output begins.
struct BlockStart {
  uint64_t plain = 0;
  uint64_t bit = 0;
};

/// Bytes that an encoder begun in the middle of a stream only learns from: what it makes of them is
/// dropped, and the output begins with the block that starts behind them. For encoders that keep
/// the tokens of a block until it is full.
class WarmUp {
 public:
  void set(uint64_t plain, unsigned phase) {
    plain_ = plain;
    phase_ = phase;
  }
  bool is_over() const { return plain_ == 0; }
  /// Whether what is before `end` is all to be dropped.
  bool reaches(uint64_t end) const { return plain_ != 0 && end <= plain_; }

  /// Of a block over the bytes from `begin` to `end`: drops the tokens before the place where the
  /// output begins. Returns where the rest starts.
  uint64_t drop(uint64_t begin, uint64_t end, std::span<Token> tokens, size_t& count,
                SymbolCounts& counts, BitWriter& bits) {
    size_t dropped = 0;
    while (dropped < count && begin < plain_) {
      const Token token = tokens[dropped++];
      begin += token.is_match() ? token.length_minus_3() + kMinMatch : 1;
    }
    if (end >= plain_) {
      plain_ = 0;
      bits.begin(phase_);
    }
    counts.clear();
    for (size_t i = dropped; i < count; ++i) {
      tokens[i - dropped] = tokens[i];
      counts.count(tokens[i]);
    }
    count -= dropped;
    return begin;
  }

 private:
  uint64_t plain_ = 0;
  unsigned phase_ = 0;
};

}  // namespace bundle::codec
