#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace bundle::codec {

/// Subtracts `amount` from each value, not going below zero. A multiple of eight values.
inline void subtract_saturated(std::span<uint16_t> values, uint16_t amount) {
#if defined(__SSE2__)
  assert(values.size() % 8 == 0);
  const __m128i amounts = _mm_set1_epi16(static_cast<int16_t>(amount));
  for (size_t i = 0; i < values.size(); i += 8) {
    auto* const at = reinterpret_cast<__m128i*>(values.data() + i);
    _mm_storeu_si128(at, _mm_subs_epu16(_mm_loadu_si128(at), amounts));
  }
#else
  for (uint16_t& value : values) {
    value = value > amount ? static_cast<uint16_t>(value - amount) : uint16_t{0};
  }
#endif
}

}  // namespace bundle::codec
