#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

/// Constants and symbol tables of RFC 1951.
namespace bundle::codec {

inline constexpr uint32_t kMinMatch = 3;
inline constexpr uint32_t kMaxMatch = 258;
inline constexpr uint32_t kMaxDistance = 32768;
inline constexpr size_t kMaxStoredBytes = 65535;

inline constexpr size_t kEndOfBlock = 256;
inline constexpr size_t kFirstLengthSymbol = 257;
inline constexpr size_t kLengthSymbols = 29;
inline constexpr size_t kLiteralSymbols = 286;
inline constexpr size_t kDistanceSymbols = 30;
inline constexpr size_t kHeaderSymbols = 19;

inline constexpr std::array<uint8_t, kLengthSymbols> kLengthExtraBits = {
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
/// The order in which a dynamic header lists the lengths of its own code.
inline constexpr std::array<uint8_t, kHeaderSymbols> kHeaderOrder = {
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

constexpr uint32_t distance_extra_bits(size_t symbol) {
  return symbol < 4 ? 0 : static_cast<uint32_t>(symbol / 2 - 1);
}

namespace detail {

struct LengthTables {
  std::array<uint8_t, 256> symbol{};   // by length - 3, counted from kFirstLengthSymbol
  std::array<uint8_t, 256> surplus{};  // length minus the first length of its symbol
};
constexpr LengthTables make_length_tables() {
  LengthTables tables;
  size_t next = 0;
  for (size_t symbol = 0; symbol + 1 < kLengthSymbols; ++symbol) {
    for (size_t i = 0; i < (size_t{1} << kLengthExtraBits[symbol]) && next < 256; ++i, ++next) {
      tables.symbol[next] = static_cast<uint8_t>(symbol);
      tables.surplus[next] = static_cast<uint8_t>(i);
    }
  }
  tables.symbol[255] = kLengthSymbols - 1;  // 258 has a symbol of its own
  tables.surplus[255] = 0;
  return tables;
}

constexpr uint32_t slow_distance_symbol(uint32_t distance_minus_1) {
  if (distance_minus_1 < 2) return distance_minus_1;
  uint32_t top = 1;
  while (distance_minus_1 >> (top + 1) != 0) ++top;
  return 2 * top + (distance_minus_1 >> (top - 1) & 1);
}
constexpr std::array<uint8_t, 512> make_distance_table() {
  std::array<uint8_t, 512> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    table[i] = static_cast<uint8_t>(slow_distance_symbol(i));
    table[256 + i] = static_cast<uint8_t>(slow_distance_symbol(i << 7));
  }
  return table;
}

}  // namespace detail

inline constexpr detail::LengthTables kLengthTables = detail::make_length_tables();
/// The shortest length of each length symbol, less 3.
inline constexpr auto kFirstLengths = [] {
  std::array<uint8_t, kLengthSymbols> first{};
  for (size_t i = 256; i > 0; --i) {
    first[kLengthTables.symbol[i - 1]] = static_cast<uint8_t>(i - 1);
  }
  return first;
}();
/// The shortest distance of each distance symbol, less 1.
inline constexpr auto kFirstDistances = [] {
  std::array<uint16_t, kDistanceSymbols> first{};
  for (size_t i = 0; i < kDistanceSymbols; ++i) {
    first[i] = static_cast<uint16_t>(i < 4 ? i : (2 + i % 2) << (i / 2 - 1));
  }
  return first;
}();
inline constexpr std::array<uint8_t, 512> kDistanceTable = detail::make_distance_table();

/// Argument 0..255 stands for a match length of 3..258.
inline uint32_t length_symbol(uint32_t length_minus_3) {
  return kLengthTables.symbol[length_minus_3];
}
/// Argument 0..32767 stands for a distance of 1..32768.
inline uint32_t distance_symbol(uint32_t distance_minus_1) {
  return kDistanceTable[distance_minus_1 < 256 ? distance_minus_1 : 256 + (distance_minus_1 >> 7)];
}

}  // namespace bundle::codec
