#include "codec/deflate/huffman_code.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "codec/deflate/deflate_format.h"

namespace bundle::codec {
namespace {

constexpr size_t kMaxSymbols = 320;
constexpr unsigned kMaxCodeLength = 15;
constexpr unsigned kSymbolBits = 9;

uint16_t reverse_bits(uint32_t value, unsigned length) {
  value = (value & 0x5555) << 1 | (value >> 1 & 0x5555);
  value = (value & 0x3333) << 2 | (value >> 2 & 0x3333);
  value = (value & 0x0f0f) << 4 | (value >> 4 & 0x0f0f);
  value = (value & 0x00ff) << 8 | (value >> 8 & 0x00ff);
  return static_cast<uint16_t>(value >> (16 - length));
}

/// Sorts keys (weight above kSymbolBits of symbol, symbols ascending on entry) by weight.
void sort_by_weight(std::span<uint32_t> keys) {
  constexpr unsigned kDigitBits = 8;
  constexpr size_t kDigits = size_t{1} << kDigitBits;
  if (keys.size() < 48) {
    std::sort(keys.begin(), keys.end());
    return;
  }
  uint32_t all_bits = 0;
  for (const uint32_t key : keys) all_bits |= key;
  std::array<uint32_t, kMaxSymbols> spare;
  uint32_t* from = keys.data();
  uint32_t* to = spare.data();
  for (unsigned shift = kSymbolBits; shift < 32 && all_bits >> shift != 0; shift += kDigitBits) {
    std::array<uint32_t, kDigits> place{};
    for (size_t i = 0; i < keys.size(); ++i) ++place[from[i] >> shift & (kDigits - 1)];
    uint32_t start = 0;
    for (uint32_t& digit : place) start += std::exchange(digit, start);
    for (size_t i = 0; i < keys.size(); ++i) {
      to[place[from[i] >> shift & (kDigits - 1)]++] = from[i];
    }
    std::swap(from, to);
  }
  if (from != keys.data()) std::copy_n(from, keys.size(), keys.data());
}

/// One row of package-merge: which of its items are leaves.
struct Row {
  std::array<uint64_t, (2 * kMaxSymbols + 63) / 64> leaf_flags{};

  uint32_t leaves_among_first(uint32_t items) const {
    uint32_t leaves = 0;
    const size_t words = items / 64;
    for (size_t i = 0; i < words; ++i) {
      leaves += static_cast<uint32_t>(std::popcount(leaf_flags[i]));
    }
    if (items % 64 != 0) {
      const uint64_t mask = (uint64_t{1} << items % 64) - 1;
      leaves += static_cast<uint32_t>(std::popcount(leaf_flags[words] & mask));
    }
    return leaves;
  }
};

/// counts[k] = how many symbols (the lightest ones) get a code longer than k bits.
/// `leaves` ascend and are followed by a weight no package reaches.
void count_longer_than(const uint32_t* leaves, uint32_t symbols, unsigned max_length,
                       std::span<uint32_t> counts) {
  constexpr uint32_t kNever = UINT32_MAX;
  std::array<Row, kMaxCodeLength + 1> rows;
  std::array<uint32_t, 2 * kMaxSymbols + 2> packages;
  std::array<uint32_t, 2 * kMaxSymbols + 2> items;
  const uint32_t wanted = 2 * symbols - 2;
  uint32_t package_count = 0;
  for (unsigned level = 1; level <= max_length; ++level) {
    packages[package_count] = kNever;
    const uint32_t item_count = std::min(symbols + package_count, wanted);
    uint32_t leaf = 0;
    uint32_t package = 0;
    uint64_t flags = 0;
    for (uint32_t i = 0; i < item_count; ++i) {
      const uint32_t leaf_weight = leaves[leaf];
      const uint32_t package_weight = packages[package];
      const bool take_leaf = leaf_weight < package_weight;
      items[i] = take_leaf ? leaf_weight : package_weight;
      leaf += take_leaf;
      package += !take_leaf;
      flags |= uint64_t{take_leaf} << i % 64;
      if (i % 64 == 63) {
        rows[level].leaf_flags[i / 64] = flags;
        flags = 0;
      }
    }
    rows[level].leaf_flags[item_count / 64] |= flags;
    package_count = item_count / 2;
    for (uint32_t i = 0; i < package_count; ++i) packages[i] = items[2 * i] + items[2 * i + 1];
  }
  uint32_t needed = wanted;
  for (unsigned level = max_length; level > 0; --level) {
    const uint32_t leaf_count = rows[level].leaves_among_first(needed);
    counts[max_length - level] = leaf_count;
    needed = 2 * (needed - leaf_count);
  }
}

std::array<CodeWord, kLiteralSymbols> make_fixed_literal_code() {
  std::array<CodeWord, kLiteralSymbols> codes;
  for (uint32_t symbol = 0; symbol < codes.size(); ++symbol) {
    uint32_t word = symbol < 144 ? 0x30 + symbol : 0x190 + symbol - 144;
    uint16_t length = symbol < 144 ? 8 : 9;
    if (symbol >= 256) {
      word = symbol < 280 ? symbol - 256 : 0xc0 + symbol - 280;
      length = symbol < 280 ? 7 : 8;
    }
    codes[symbol] = {reverse_bits(word, length), length};
  }
  return codes;
}

std::array<CodeWord, kDistanceSymbols> make_fixed_distance_code() {
  std::array<CodeWord, kDistanceSymbols> codes;
  for (uint32_t symbol = 0; symbol < codes.size(); ++symbol) {
    codes[symbol] = {reverse_bits(symbol, 5), 5};
  }
  return codes;
}

}  // namespace

void build_huffman_code(std::span<const uint32_t> weights, unsigned max_length,
                        std::span<CodeWord> codes) {
  std::array<uint32_t, kMaxSymbols> keys;
  uint32_t symbols = 0;
  for (uint32_t symbol = 0; symbol < weights.size(); ++symbol) {
    codes[symbol] = {};
    if (weights[symbol] != 0) keys[symbols++] = weights[symbol] << kSymbolBits | symbol;
  }
  constexpr uint32_t kSymbolMask = (1u << kSymbolBits) - 1;
  if (symbols <= 2) {
    for (uint32_t i = 0; i < symbols; ++i) {
      codes[keys[i] & kSymbolMask] = {static_cast<uint16_t>(i), 1};
    }
    return;
  }
  sort_by_weight({keys.data(), symbols});

  std::array<uint32_t, kMaxSymbols + 1> leaves;
  for (uint32_t i = 0; i < symbols; ++i) leaves[i] = keys[i] >> kSymbolBits;
  leaves[symbols] = UINT32_MAX;
  std::array<uint32_t, kMaxCodeLength + 1> longer{};
  const unsigned levels = std::min(max_length, symbols - 1);
  count_longer_than(leaves.data(), symbols, levels, longer);

  std::array<uint16_t, kMaxCodeLength + 2> next_word{};
  uint32_t word = 0;
  for (unsigned length = 1; length <= levels; ++length) {
    word <<= 1;
    next_word[length] = static_cast<uint16_t>(word);
    word += longer[length - 1] - longer[length];
    // The lighter symbols, up to longer[length - 1], have at least this length.
    for (uint32_t i = longer[length]; i < longer[length - 1]; ++i) {
      codes[keys[i] & kSymbolMask].length = static_cast<uint16_t>(length);
    }
  }
  for (CodeWord& code : codes.first(weights.size())) {
    if (code.length != 0) code.bits = reverse_bits(next_word[code.length]++, code.length);
  }
}

bool is_prefix_code(std::span<const uint8_t> lengths) {
  uint32_t share = 0;
  for (const uint8_t length : lengths) {
    if (length != 0) share += 1u << (kMaxCodeLength - length);
  }
  return share <= 1u << kMaxCodeLength;
}

void assign_code_words(std::span<const uint8_t> lengths, std::span<CodeWord> codes) {
  std::array<uint32_t, kMaxCodeLength + 1> counts{};
  for (const uint8_t length : lengths) ++counts[length];
  counts[0] = 0;
  std::array<uint32_t, kMaxCodeLength + 1> next_word{};
  for (unsigned length = 1; length <= kMaxCodeLength; ++length) {
    next_word[length] = (next_word[length - 1] + counts[length - 1]) << 1;
  }
  for (size_t symbol = 0; symbol < lengths.size(); ++symbol) {
    const uint8_t length = lengths[symbol];
    codes[symbol] = {};
    if (length != 0) codes[symbol] = {reverse_bits(next_word[length]++, length), length};
  }
}

uint64_t coded_bits(std::span<const uint32_t> weights, std::span<const CodeWord> codes) {
  uint64_t total = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    total += uint64_t{weights[i]} * codes[i].length;
  }
  return total;
}

std::span<const CodeWord> fixed_literal_code() {
  static const auto kCodes = make_fixed_literal_code();
  return kCodes;
}

std::span<const CodeWord> fixed_distance_code() {
  static const auto kCodes = make_fixed_distance_code();
  return kCodes;
}

}  // namespace bundle::codec
