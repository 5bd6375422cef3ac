// Reads fields from bytes in memory, with every access checked.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "bundle/error.h"

namespace bundle::format {

// The hint for what a signature covers: copying again does not help.
inline constexpr std::string_view kMadeWrong =
    "The bundle was made wrong: ask the vendor for a new one.";

// Every read past the end, and every malformed varint, throws Error{code} that names `what` and
// the offset. Does not own the bytes.
class ByteReader {
 public:
  ByteReader(ByteView bytes, ErrorCode code, std::string_view what,
             std::string_view hint = kMadeWrong)
      : bytes_(bytes), code_(code), what_(what), hint_(hint) {}

  std::size_t offset() const { return offset_; }
  std::size_t remaining() const { return bytes_.size() - offset_; }
  bool at_end() const { return remaining() == 0; }

  ByteView take(std::uint64_t count) {
    if (count > remaining()) fail("ends early");
    const ByteView part = bytes_.subspan(offset_, static_cast<std::size_t>(count));
    offset_ += part.size();
    return part;
  }
  template <typename Integer>
  Integer le() {
    return load_le<Integer>(take(sizeof(Integer)).data());
  }
  // Unsigned LEB128 in its shortest form.
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t byte = take(1)[0];
      if (shift == 63 && byte > 1) fail("has a number that is too large");
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) {
        if (byte == 0 && shift != 0) fail("has a number that is not in its shortest form");
        return value;
      }
    }
    fail("has a number that is too long");
  }
  std::int64_t zigzag() {
    const std::uint64_t value = varint();
    return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
  }
  void zeros(std::uint64_t count) {
    for (const std::uint8_t byte : take(count)) {
      if (byte != 0) fail("has data where zero bytes belong");
    }
  }
  [[noreturn]] void fail(std::string_view reason) const {
    throw Error(code_, fmt::format("{}: {} (at offset {})", what_, reason, offset_), hint_);
  }

 private:
  ByteView bytes_;
  std::size_t offset_ = 0;
  ErrorCode code_;
  std::string what_;
  std::string hint_;
};

// The writing side.
class ByteWriter {
 public:
  template <typename Integer>
  void le(Integer value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(Integer));
    store_le(bytes_.data() + at, value);
  }
  void varint(std::uint64_t value) {
    while (value >= 0x80) {
      bytes_.push_back(static_cast<std::uint8_t>(value | 0x80));
      value >>= 7;
    }
    bytes_.push_back(static_cast<std::uint8_t>(value));
  }
  void zigzag(std::int64_t value) {
    varint((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
  }
  void raw(ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void zeros(std::size_t count) { bytes_.resize(bytes_.size() + count); }

  std::size_t size() const { return bytes_.size(); }
  const Bytes& bytes() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

}  // namespace bundle::format
