#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/deflate_format.h"
#include "codec/deflate/dynamic_header.h"
#include "codec/deflate/huffman_code.h"
#include "codec/deflate/token_writer.h"

/// How klauspost/compress/flate chooses among stored, fixed and dynamic blocks, and writes them.
namespace bundle::codec::klauspost {

constexpr unsigned kMaxCodeLength = 15;

/// What a match finder made of one block: runs over `plain`, or tokens.
struct Parse {
  std::span<const uint8_t> plain;
  std::span<const TokenRun> runs;
  SymbolCounts& counts;
  size_t token_count;
  std::span<const Token> tokens = {};
  bool plain_known = true;  // false: `plain` left the window, so that the block cannot be stored

  void write(const TokenWriter& body, BitWriter& bits) const {
    if (tokens.empty()) {
      body.write(bits, runs, plain);
    } else {
      body.write(bits, tokens);
    }
  }
};

/// How trees are described: until 1.18.0 with all symbols while a block may stay open; since 1.18.2
/// without unused ones at the end, and with the end of block counted in each comparison.
enum class TreeStyle : uint8_t { kFull, kTrimmed };

#if defined(__GNUC__) && !defined(__clang__)
#define BUNDLE_EXACT_FLOAT __attribute__((optimize("fp-contract=off")))
#else
#define BUNDLE_EXACT_FLOAT
#endif

/// The size of a block under an ideal code, estimated in single precision: the original compares
/// this estimate, so each operation has to round as it does there.
class SizeEstimate {
 public:
  BUNDLE_EXACT_FLOAT static uint64_t of(const SymbolCounts& counts, size_t token_count) {
    float ideal = 0;
    uint64_t extra = 0;
    uint32_t matches = 0;
    if (token_count > 0) {
      const float share = 1.0f / static_cast<float>(token_count);
      for (size_t byte = 0; byte < 256; ++byte) add(ideal, counts.literals[byte], share);
      ideal += 15;
      for (size_t i = 0; i < kLengthSymbols; ++i) {
        const uint32_t count = counts.literals[kFirstLengthSymbol + i];
        add(ideal, count, share);
        extra += uint64_t{count} * kLengthExtraBits[i];
        matches += count;
      }
    }
    if (matches > 0) {
      const float share = 1.0f / static_cast<float>(matches);
      for (size_t i = 0; i < kDistanceSymbols; ++i) {
        add(ideal, counts.distances[i], share);
        extra += uint64_t{counts.distances[i]} * distance_extra_bits(i);
      }
    }
    return static_cast<uint64_t>(ideal) + extra;
  }

 private:
  BUNDLE_EXACT_FLOAT static void add(float& sum, uint32_t count, float share) {
    if (count == 0) return;
    const auto number = static_cast<float>(count);
    float bits = -binary_logarithm(number * share);
    bits = bits < 1 ? 1 : bits > 15 ? 15 : bits;
    sum += bits * number;
  }
  /// A parabola through the mantissa.
  BUNDLE_EXACT_FLOAT static float binary_logarithm(float value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    const auto exponent = static_cast<float>(static_cast<int>(bits >> 23 & 0xff) - 128);
    const auto mantissa = std::bit_cast<float>((bits & 0x807fffff) + (127u << 23));
    return exponent + ((-0.34484843f * mantissa + 2.02466578f) * mantissa - 0.67487759f);
  }
};

/// Block choice and output of the original: a dynamic block may stay open, so that later parts of
/// the input go on with its code; its end-of-block is written once something else has to start.
class BlockWriter {
 public:
  BlockWriter(ByteSink sink, unsigned penalty_shift, TreeStyle trees)
      : bits_(std::move(sink)), penalty_shift_(penalty_shift), trees_(trees) {
    fixed_body_.use(fixed_literal_code(), fixed_distance_code());
  }

  BitWriter& bits() { return bits_; }
  /// Where the last block was begun.
  uint64_t block_bit() const { return block_bit_; }
  uint64_t blocks_begun() const { return blocks_begun_; }

  void write_stored(std::span<const uint8_t> plain) {
    end_open_block();
    begin_block();
    bits_.put(0, 3);
    bits_.align();
    bits_.put(plain.size() | (~plain.size() & 0xffff) << 16, 32);
    bits_.put_bytes(plain);
  }

  /// `last`: the block may not stay open.
  void write_dynamic(const Parse& parse, bool last) {
    SymbolCounts& counts = parse.counts;
    const size_t token_count = parse.token_count + (last ? 1 : 0);
    if (last) counts.literals[kEndOfBlock] = 1;
    if (open_header_bits_ != 0 && literals_only_) {
      end_open_block();
      literals_only_ = false;
    }
    if (!can_reuse(counts)) end_open_block();
    size_t literal_count = kLiteralSymbols;
    size_t distance_count = kDistanceSymbols;
    if (trees_ == TreeStyle::kTrimmed) counts.literals[kEndOfBlock] = 1;
    if (last || trees_ == TreeStyle::kTrimmed) {
      while (counts.literals[literal_count - 1] == 0) --literal_count;
      while (distance_count > 0 && counts.distances[distance_count - 1] == 0) --distance_count;
      if (distance_count == 0) {
        counts.distances[0] = 1;
        distance_count = 1;
      }
    }
    const uint64_t extra = extra_bits(counts);
    const uint64_t stored = parse_stored_bits(parse);
    if (open_header_bits_ != 0) {
      uint64_t fresh = open_header_bits_ + SizeEstimate::of(counts, token_count);
      fresh += literal_codes_[kEndOfBlock].length + (fresh >> penalty_shift_);
      const uint64_t reused = coded_size(counts) + extra;
      if (fresh < reused) end_open_block();
      const uint64_t size = std::min(fresh, reused);
      if (token_count < kFewTokens && fixed_size(counts) + extra + 7 < size) {
        write_fixed_or_stored(parse, stored <= size);
        return;
      }
      if (stored <= size) {
        write_stored(parse.plain);
        return;
      }
    }
    if (open_header_bits_ == 0) {
      counts.literals[kEndOfBlock] = 1;
      build_huffman_code(counts.literals, kMaxCodeLength, literal_codes_);
      build_huffman_code(counts.distances, kMaxCodeLength, distance_codes_);
      header_.plan(std::span(literal_codes_).first(literal_count),
                   std::span(distance_codes_).first(distance_count));
      const uint64_t size = header_.bits() + coded_size(counts) + extra;
      if (token_count < kFewTokens) {
        const uint64_t fixed = fixed_size(counts) + extra;
        if (fixed <= size) {
          write_fixed_or_stored(parse, stored <= fixed);
          return;
        }
      }
      if (stored <= size) {
        write_stored(parse.plain);
        return;
      }
      begin_block();
      header_.write(bits_, false);
      body_.use(literal_codes_, distance_codes_);
      open_header_bits_ = header_.bits();
      literals_only_ = false;
    }
    parse.write(body_, bits_);
    if (last) end_open_block();
  }

  void write_literals(std::span<const uint8_t> plain, bool last) {
    std::array<uint32_t, kEndOfBlock + 1> weights{};
    count_bytes(plain, weights);
    if (plain.size() > 1024 && looks_random(weights, plain.size())) {
      write_stored(plain);
      return;
    }
    weights[kEndOfBlock] = 1;
    std::array<CodeWord, kEndOfBlock + 1> codes;
    build_huffman_code(weights, kMaxCodeLength, codes);
    constexpr uint64_t kUsualHeaderBits = 70 * 8;
    uint64_t fresh = coded_bits(weights, codes) +
                     (open_header_bits_ != 0 ? open_header_bits_ : kUsualHeaderBits);
    fresh += fresh >> penalty_shift_;
    if (stored_bits(plain) <= fresh) {
      write_stored(plain);
      return;
    }
    if (open_header_bits_ != 0) {
      const auto bytes = std::span<const uint32_t>(weights).first(256);
      if (!covers(literal_codes_, bytes) || fresh < coded_bits(bytes, literal_codes_)) {
        end_open_block();
      }
    }
    if (open_header_bits_ == 0) {
      std::copy(codes.begin(), codes.end(), literal_codes_.begin());
      constexpr std::array<CodeWord, 1> kUnusedDistance = {CodeWord{0, 1}};
      header_.plan(codes, kUnusedDistance);
      begin_block();
      header_.write(bits_, false);
      body_.use_literals(literal_codes_);
      open_header_bits_ = header_.bits();
      literals_only_ = true;
    }
    body_.write_literals(bits_, plain);
    if (last) {
      end_open_block();
      literals_only_ = false;
    }
  }

  void flush() {
    write_stored({});
    bits_.drain();
  }
  void finish() {
    end_open_block();
    constexpr unsigned kFinalFixedBlock = 0b011;  // and seven zero bits for its end
    bits_.put(kFinalFixedBlock, 10);
    bits_.align();
    bits_.drain();
  }

 private:
  static constexpr size_t kFewTokens = 250;  // a fixed code is considered below this

  static uint64_t stored_bits(std::span<const uint8_t> plain) { return (plain.size() + 5) * 8; }
  static uint64_t parse_stored_bits(const Parse& parse) {
    const bool storable = parse.plain_known && parse.plain.size() <= kMaxStoredBytes;
    return storable ? stored_bits(parse.plain) : UINT64_MAX;
  }
  static uint64_t extra_bits(const SymbolCounts& counts) {
    uint64_t bits = 0;
    for (size_t i = 0; i < kLengthSymbols; ++i) {
      bits += uint64_t{counts.literals[kFirstLengthSymbol + i]} * kLengthExtraBits[i];
    }
    for (size_t i = 0; i < kDistanceSymbols; ++i) {
      bits += uint64_t{counts.distances[i]} * distance_extra_bits(i);
    }
    return bits;
  }
  static uint64_t fixed_size(const SymbolCounts& counts) {
    return 3 + coded_bits(counts.literals, fixed_literal_code()) +
           coded_bits(counts.distances, fixed_distance_code());
  }
  static bool covers(std::span<const CodeWord> codes, std::span<const uint32_t> weights) {
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] != 0 && codes[i].length == 0) return false;
    }
    return true;
  }
  static void count_bytes(std::span<const uint8_t> plain, std::span<uint32_t> weights) {
    std::array<std::array<uint32_t, 256>, 4> parts{};
    size_t i = 0;
    for (; i + 4 <= plain.size(); i += 4) {
      ++parts[0][plain[i]];
      ++parts[1][plain[i + 1]];
      ++parts[2][plain[i + 2]];
      ++parts[3][plain[i + 3]];
    }
    for (; i < plain.size(); ++i) ++parts[0][plain[i]];
    for (size_t byte = 0; byte < 256; ++byte) {
      weights[byte] = parts[0][byte] + parts[1][byte] + parts[2][byte] + parts[3][byte];
    }
  }
  /// Whether the bytes are spread so evenly that no code can gain anything.
  static bool looks_random(std::span<const uint32_t> weights, size_t size) {
    const double average = static_cast<double>(size) / 256;
    const auto limit = static_cast<double>(2 * size);
    double squares = 0;
    for (size_t byte = 0; byte < 256 && squares <= limit; ++byte) {
      const double difference = static_cast<double>(weights[byte]) - average;
      squares += difference * difference;
    }
    return squares < limit;
  }

  uint64_t coded_size(const SymbolCounts& counts) const {
    return coded_bits(counts.literals, literal_codes_) +
           coded_bits(counts.distances, distance_codes_);
  }
  bool can_reuse(const SymbolCounts& counts) const {
    return covers(distance_codes_, counts.distances) && covers(literal_codes_, counts.literals);
  }
  void begin_block() {
    block_bit_ = bits_.position();
    ++blocks_begun_;
  }
  void end_open_block() {
    if (open_header_bits_ == 0) return;
    bits_.put(literal_codes_[kEndOfBlock].bits, literal_codes_[kEndOfBlock].length);
    open_header_bits_ = 0;
  }
  void write_fixed_or_stored(const Parse& parse, bool stored) {
    if (stored) {
      write_stored(parse.plain);
      return;
    }
    end_open_block();
    begin_block();
    bits_.put(0b010, 3);
    parse.write(fixed_body_, bits_);
    fixed_body_.write_end_of_block(bits_);
  }

  BitWriter bits_;
  const unsigned penalty_shift_;  // a new code is taken to cost size >> this more than estimated
  const TreeStyle trees_;
  uint64_t open_header_bits_ = 0;  // size of the header of the open block; 0: none is open
  bool literals_only_ = false;     // the open block has no code for matches
  uint64_t block_bit_ = 0;
  uint64_t blocks_begun_ = 0;
  DynamicHeader header_;
  TokenWriter body_;
  TokenWriter fixed_body_;
  std::array<CodeWord, kLiteralSymbols> literal_codes_;
  std::array<CodeWord, kDistanceSymbols> distance_codes_;
};

}  // namespace bundle::codec::klauspost
