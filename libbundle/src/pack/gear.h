// The gear hash: each byte shifts the hash and adds a number of the byte's own. After 64 bytes a
// byte has left it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bundle::pack {

// splitmix64 (Vigna, public domain algorithm): a fixed table that needs no file.
constexpr std::uint64_t mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

constexpr std::array<std::uint64_t, 256> make_gear() {
  std::array<std::uint64_t, 256> gear{};
  for (std::size_t i = 0; i < gear.size(); ++i) gear[i] = mix(i);
  return gear;
}
inline constexpr std::array<std::uint64_t, 256> kGear = make_gear();

}  // namespace bundle::pack
