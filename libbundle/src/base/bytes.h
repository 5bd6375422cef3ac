// Byte buffers, little-endian integers, hex and base64.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bundle {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(std::string_view text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

template <typename Integer>
Integer load_le(const std::uint8_t* from) {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value = static_cast<Integer>(value | (static_cast<Integer>(from[i]) << (8 * i)));
  }
  return value;
}
template <typename Integer>
void store_le(std::uint8_t* to, Integer value) {
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    to[i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
}

// Lower-case hexadecimal.
std::string to_hex(ByteView bytes);
// Accepts lower-case only: digests have one spelling. Nothing when malformed.
std::optional<Bytes> from_hex(std::string_view text);

// RFC 4648 section 4, with padding.
std::string to_base64(ByteView bytes);
// Strict: padding required, no white space, unused bits zero. Nothing when malformed.
std::optional<Bytes> from_base64(std::string_view text);

}  // namespace bundle
