// Memory for secrets: locked, guarded, zeroed when freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"

namespace bundle {

// A fixed-size buffer from sodium_malloc: never swapped out (where the lock limit allows), between
// guard pages, overwritten before it is freed. Move-only. Not thread-safe.
class SecretBytes {
 public:
  SecretBytes() = default;
  // Zero-filled. Throws Error{internal} when the system refuses the memory.
  explicit SecretBytes(std::size_t size);

  std::size_t size() const { return size_; }
  std::uint8_t* data() { return memory_.get(); }
  std::span<std::uint8_t> span() { return {memory_.get(), size_}; }
  ByteView view() const { return {memory_.get(), size_}; }
  // Drops bytes at the end; they are zeroed at once.
  void shrink(std::size_t size);

 private:
  struct Free {
    void operator()(std::uint8_t* memory) const;
  };
  std::unique_ptr<std::uint8_t[], Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace bundle
