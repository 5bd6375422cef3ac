// Random bytes from the operating system, by way of libsodium.
#pragma once

#include <cstddef>

#include "base/bytes.h"

namespace bundle {

Bytes random_bytes(std::size_t count);

}  // namespace bundle
