#include "crypto/random.h"

#include <sodium.h>

#include "crypto/sodium_init.h"

namespace bundle {

Bytes random_bytes(std::size_t count) {
  require_sodium();
  Bytes bytes(count);
  randombytes_buf(bytes.data(), bytes.size());
  return bytes;
}

}  // namespace bundle
