#include "codec/adler32.h"

#include <zlib.h>

namespace bundle::codec {

std::uint32_t adler32(ByteView bytes) {
  return static_cast<std::uint32_t>(::adler32_z(1, bytes.data(), bytes.size()));
}

}  // namespace bundle::codec
