#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace bundle::codec {

/// Receives encoded bytes in order; called from write(), flush() and finish() of an encoder only.
using ByteSink = std::function<void(std::span<const uint8_t>)>;

inline uint64_t load_le64(const uint8_t* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
  return value;
}

inline uint32_t load_le32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap32(value);
  return value;
}

inline void store_le64(uint8_t* bytes, uint64_t value) {
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
  std::memcpy(bytes, &value, sizeof value);
}

/// Collects bits, lowest first, in a fixed buffer and hands full buffers to a sink.
///
/// Hot loops take a Cursor (three values that stay in registers), write a bounded number of bytes
/// through it and give it back.
class BitWriter {
 public:
  /// Bytes that may be written through one cursor.
  static constexpr size_t kCursorBytes = 16 * 1024;

  struct Cursor {
    uint8_t* out;
    uint64_t bits;
    unsigned count;

    /// Between two calls of settle() at most 57 bits may be added.
    void add(uint64_t value, unsigned length) {
      bits |= value << count;
      count += length;
    }
    /// Moves whole bytes to the buffer.
    void settle() {
      store_le64(out, bits);
      out += count >> 3;
      bits >>= count & ~7u;
      count &= 7;
    }
  };

  explicit BitWriter(ByteSink sink)
      : sink_(std::move(sink)), buffer_(std::make_unique<uint8_t[]>(kBufferBytes)) {}

  Cursor open() {
    if (used_ > kBufferBytes - kCursorBytes - sizeof(uint64_t)) drain();
    return {buffer_.get() + used_, bits_, count_};
  }
  void close(const Cursor& cursor) {
    used_ = static_cast<size_t>(cursor.out - buffer_.get());
    bits_ = cursor.bits;
    count_ = cursor.count;
  }

  /// At most 57 bits.
  void put(uint64_t value, unsigned length) {
    Cursor cursor = open();
    cursor.add(value, length);
    cursor.settle();
    close(cursor);
  }
  /// Any number, lowest first.
  void put_string(std::span<const uint8_t> bytes, size_t size) {
    for (size_t at = 0; at < size; at += 8) {
      const auto count = static_cast<unsigned>(size - at < 8 ? size - at : 8);
      put(bytes[at / 8] & ((1u << count) - 1), count);
    }
  }
  /// Bits so far.
  uint64_t position() const { return (drained_ + used_) * 8 + count_; }
  /// Starts anew in the middle of a byte, whose lower `phase` bits (0 to 7) are left zero.
  void begin(unsigned phase) {
    used_ = 0;
    drained_ = 0;
    bits_ = 0;
    count_ = phase;
  }
  /// Of the byte under way, 0 to 7.
  unsigned pending_bits() const { return count_; }
  /// Fills the current byte with zero bits.
  void align() {
    if (count_ != 0) put(0, 8 - count_);
  }
  /// Only on a byte boundary.
  void put_bytes(std::span<const uint8_t> bytes) {
    drain();
    if (!bytes.empty()) sink_(bytes);
    drained_ += bytes.size();
  }
  /// Gives whole bytes to the sink; up to seven bits stay.
  void drain() {
    if (used_ != 0) sink_({buffer_.get(), used_});
    drained_ += used_;
    used_ = 0;
  }

 private:
  static constexpr size_t kBufferBytes = 64 * 1024;

  ByteSink sink_;
  std::unique_ptr<uint8_t[]> buffer_;
  size_t used_ = 0;
  uint64_t drained_ = 0;  // bytes
  uint64_t bits_ = 0;
  unsigned count_ = 0;
};

}  // namespace bundle::codec
