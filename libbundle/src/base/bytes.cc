#include "base/bytes.h"

#include <array>

namespace bundle {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> make_base64_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kBase64.size(); ++i) {
    values[static_cast<std::uint8_t>(kBase64[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr auto kBase64Values = make_base64_values();

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string to_hex(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

std::optional<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  return bytes;
}

std::string to_base64(ByteView bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = static_cast<std::uint32_t>(bytes[i]) << 16;
    if (have > 1) word |= static_cast<std::uint32_t>(bytes[i + 1]) << 8;
    if (have > 2) word |= bytes[i + 2];
    text.push_back(kBase64[word >> 18]);
    text.push_back(kBase64[(word >> 12) & 63]);
    text.push_back(have > 1 ? kBase64[(word >> 6) & 63] : '=');
    text.push_back(have > 2 ? kBase64[word & 63] : '=');
  }
  return text;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    int padding = 0;
    if (last && text[i + 3] == '=') padding = text[i + 2] == '=' ? 2 : 1;
    std::uint32_t word = 0;
    for (int k = 0; k < 4; ++k) {
      int value = 0;
      if (k < 4 - padding) {
        value = kBase64Values[static_cast<std::uint8_t>(text[i + static_cast<std::size_t>(k)])];
        if (value < 0) return std::nullopt;
      }
      word = word << 6 | static_cast<std::uint32_t>(value);
    }
    // Bits that no output byte uses must be zero, or one value would have several spellings.
    if (padding == 1 && (word & 0xFF) != 0) return std::nullopt;
    if (padding == 2 && (word & 0xFFFF) != 0) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(word >> 16));
    if (padding < 2) bytes.push_back(static_cast<std::uint8_t>(word >> 8));
    if (padding < 1) bytes.push_back(static_cast<std::uint8_t>(word));
  }
  return bytes;
}

}  // namespace bundle
