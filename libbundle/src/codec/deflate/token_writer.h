#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/deflate_format.h"
#include "codec/deflate/huffman_code.h"

namespace bundle::codec {

/// A literal (0..255) or a match. A match keeps its distance symbol, so that it is looked up once.
class Token {
 public:
  Token() = default;
  static Token literal(uint8_t byte) { return Token(byte); }
  static Token match(uint32_t length_minus_3, uint32_t distance_minus_1, uint32_t symbol) {
    return Token(kMatchFlag | length_minus_3 << 20 | symbol << 15 | distance_minus_1);
  }
  bool is_match() const { return (value_ & kMatchFlag) != 0; }
  uint32_t byte() const { return value_; }
  uint32_t length_minus_3() const { return value_ >> 20 & 0xff; }
  uint32_t distance_symbol() const { return value_ >> 15 & 0x1f; }
  uint32_t distance_minus_1() const { return value_ & 0x7fff; }

 private:
  static constexpr uint32_t kMatchFlag = 1u << 31;
  explicit Token(uint32_t value) : value_(value) {}
  uint32_t value_;
};

/// Symbol counts of a block, kept while its tokens are made.
class SymbolCounts {
 public:
  std::array<uint32_t, kLiteralSymbols> literals{};
  std::array<uint32_t, kDistanceSymbols> distances{};

  Token count_literal(uint8_t byte) {
    ++literals[byte];
    return Token::literal(byte);
  }
  Token count_match(uint32_t length, uint32_t distance) {
    const uint32_t symbol = distance_symbol(distance - 1);
    ++literals[kFirstLengthSymbol + length_symbol(length - kMinMatch)];
    ++distances[symbol];
    return Token::match(length - kMinMatch, distance - 1, symbol);
  }
  void count(Token token) {
    if (!token.is_match()) {
      ++literals[token.byte()];
    } else {
      ++literals[kFirstLengthSymbol + length_symbol(token.length_minus_3())];
      ++distances[token.distance_symbol()];
    }
  }
  void count_literals(const uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) ++literals[bytes[i]];
  }
  void clear() { *this = {}; }
};

/// Some literals of the input, then a match.
struct TokenRun {
  uint32_t literals;
  Token match;
};

/// Writes the body of a Huffman block: per-block tables that give code and extra bits at once.
class TokenWriter {
 public:
  void use(std::span<const CodeWord> literals, std::span<const CodeWord> distances) {
    use_literals(literals);
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t symbol = kLengthTables.symbol[i];
      const CodeWord code = literals[kFirstLengthSymbol + symbol];
      lengths_[i] = pack(code.bits | uint32_t{kLengthTables.surplus[i]} << code.length,
                         code.length + uint32_t{kLengthExtraBits[symbol]});
    }
    for (size_t i = 0; i < kDistanceSymbols; ++i) {
      const CodeWord code = i < distances.size() ? distances[i] : CodeWord{};
      const uint32_t extra = distance_extra_bits(i);
      distances_[i] = {code.bits, static_cast<uint16_t>((1u << extra) - 1),
                       static_cast<uint8_t>(code.length),
                       static_cast<uint8_t>(code.length + extra)};
    }
  }
  void use_literals(std::span<const CodeWord> literals) {
    for (size_t i = 0; i <= kEndOfBlock; ++i) {
      literals_[i] = pack(literals[i].bits, literals[i].length);
    }
  }

  void write(BitWriter& writer, std::span<const Token> tokens) const {
    while (!tokens.empty()) {
      const auto part = tokens.first(std::min(tokens.size(), BitWriter::kCursorBytes / 8));
      tokens = tokens.subspan(part.size());
      BitWriter::Cursor cursor = writer.open();
      for (const Token token : part) {
        if (token.is_match()) {
          add_match(cursor, token);
        } else {
          add(cursor, literals_[token.byte()]);
        }
        cursor.settle();
      }
      writer.close(cursor);
    }
  }
  /// Runs in order over `plain`; what is left of `plain` after the last one are literals.
  void write(BitWriter& writer, std::span<const TokenRun> runs,
             std::span<const uint8_t> plain) const {
    constexpr size_t kLongRun = 256;
    constexpr size_t kRunBytes = 2 * kLongRun + 16;  // at most, when written here
    const uint8_t* next = plain.data();
    BitWriter::Cursor cursor = writer.open();
    const uint8_t* limit = cursor.out + BitWriter::kCursorBytes - kRunBytes;
    for (const TokenRun& run : runs) {
      if (run.literals > kLongRun || cursor.out > limit) {
        writer.close(cursor);
        write_literals(writer, {next, run.literals});
        cursor = writer.open();
        limit = cursor.out + BitWriter::kCursorBytes - kRunBytes;
      } else {
        add_run(cursor, next, run.literals);
      }
      add_match(cursor, run.match);
      cursor.settle();
      next += run.literals + run.match.length_minus_3() + kMinMatch;
    }
    writer.close(cursor);
    plain = plain.subspan(static_cast<size_t>(next - plain.data()));
    write_literals(writer, plain);
  }
  void write_literals(BitWriter& writer, std::span<const uint8_t> bytes) const {
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min(bytes.size(), BitWriter::kCursorBytes / 4));
      bytes = bytes.subspan(part.size());
      BitWriter::Cursor cursor = writer.open();
      add_literals(cursor, part);
      writer.close(cursor);
    }
  }
  void write_end_of_block(BitWriter& writer) const {
    writer.put(value(literals_[kEndOfBlock]), length(literals_[kEndOfBlock]));
  }

  /// Any number; reads three bytes in any case.
  void add_run(BitWriter::Cursor& cursor, const uint8_t* bytes, size_t size) const {
    for (size_t i = 0; i < 3; ++i) add(cursor, i < size ? literals_[bytes[i]] : 0);
    cursor.settle();
    if (size > 3) add_literals(cursor, {bytes + 3, size - 3});
  }
  void add_literals(BitWriter::Cursor& cursor, std::span<const uint8_t> bytes) const {
    const uint8_t* next = bytes.data();
    const uint8_t* const end = next + bytes.size();
    for (; end - next >= 3; next += 3) {
      add(cursor, literals_[next[0]]);
      add(cursor, literals_[next[1]]);
      add(cursor, literals_[next[2]]);
      cursor.settle();
    }
    for (; next != end; ++next) add(cursor, literals_[*next]);
    cursor.settle();
  }
  void add_match(BitWriter::Cursor& cursor, Token token) const {  // up to 48 bits
    add(cursor, lengths_[token.length_minus_3()]);
    const Distance& distance = distances_[token.distance_symbol()];
    const uint32_t extra = token.distance_minus_1() & distance.extra_mask;
    cursor.add(distance.bits | extra << distance.code_length, distance.total_length);
  }

 private:
  struct Distance {
    uint16_t bits;
    uint16_t extra_mask;
    uint8_t code_length;
    uint8_t total_length;
  };

  static constexpr uint32_t pack(uint32_t bits, uint32_t length) { return bits | length << 24; }
  static constexpr uint32_t value(uint32_t packed) { return packed & 0xffffff; }
  static constexpr uint32_t length(uint32_t packed) { return packed >> 24; }
  static void add(BitWriter::Cursor& cursor, uint32_t packed) {
    cursor.add(value(packed), length(packed));
  }

  std::array<uint32_t, kEndOfBlock + 1> literals_;
  std::array<uint32_t, 256> lengths_;
  std::array<Distance, kDistanceSymbols> distances_;
};

}  // namespace bundle::codec
