// Adler-32 (RFC 1950 section 8.2), by zlib: it finds damage, not forgery.
#pragma once

#include "base/bytes.h"

namespace bundle::codec {

std::uint32_t adler32(ByteView bytes);

}  // namespace bundle::codec
