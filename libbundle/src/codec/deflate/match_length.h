#pragma once

#include <bit>
#include <cstdint>

#include "codec/deflate/bit_writer.h"

namespace bundle::codec {

/// Number of equal leading bytes, at most `limit`. Reads up to 7 bytes past `limit` on both sides.
inline uint32_t match_length(const uint8_t* left, const uint8_t* right, uint32_t limit) {
  for (uint32_t done = 0; done < limit; done += 8) {
    const uint64_t difference = load_le64(left + done) ^ load_le64(right + done);
    if (difference != 0) {
      const uint32_t length = done + static_cast<uint32_t>(std::countr_zero(difference) >> 3);
      return length < limit ? length : limit;
    }
  }
  return limit;
}

/// Number of equal bytes before `left` and `right`, at most `limit`. Reads up to 8 bytes before.
inline uint32_t match_length_before(const uint8_t* left, const uint8_t* right, uint32_t limit) {
  uint32_t done = 0;
  while (done < limit) {
    const uint64_t difference = load_le64(left - done - 8) ^ load_le64(right - done - 8);
    if (difference != 0) {
      done += static_cast<uint32_t>(std::countl_zero(difference) >> 3);
      break;
    }
    done += 8;
  }
  return done < limit ? done : limit;
}

}  // namespace bundle::codec
