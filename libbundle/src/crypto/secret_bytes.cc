#include "crypto/secret_bytes.h"

#include <sodium.h>

#include "bundle/error.h"
#include "crypto/sodium_init.h"

namespace bundle {

void require_sodium() {
  // Thread-safe and idempotent in libsodium; the static keeps it off the hot path.
  static const bool ready = sodium_init() >= 0;
  if (!ready) throw Error(ErrorCode::internal, "libsodium cannot be initialised");
}

SecretBytes::SecretBytes(std::size_t size) : size_(size) {
  require_sodium();
  memory_.reset(static_cast<std::uint8_t*>(sodium_malloc(size)));
  if (!memory_) throw Error(ErrorCode::internal, "no locked memory for a secret");
  sodium_memzero(memory_.get(), size);
}

void SecretBytes::shrink(std::size_t size) {
  if (size > size_) throw Error(ErrorCode::internal, "a secret can only shrink");
  if (size < size_) sodium_memzero(memory_.get() + size, size_ - size);
  size_ = size;
}

void SecretBytes::Free::operator()(std::uint8_t* memory) const {
  sodium_free(memory);
}

}  // namespace bundle
