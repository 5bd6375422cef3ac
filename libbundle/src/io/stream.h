// Byte streams. Everything that moves data in this library is a Source, a Sink or both, so that
// memory is bounded by the interface and not by care.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace bundle {

// Pull side. Not thread-safe.
class Source {
 public:
  virtual ~Source() = default;
  // Fills up to buffer.size() bytes and returns how many; 0 only at the end.
  virtual std::size_t read(std::span<std::uint8_t> buffer) = 0;
};

// Push side. Not thread-safe.
class Sink {
 public:
  virtual ~Sink() = default;
  // Takes all of `bytes`; the caller keeps ownership.
  virtual void write(ByteView bytes) = 0;
};

// Reads from memory that the caller keeps alive.
class MemorySource final : public Source {
 public:
  explicit MemorySource(ByteView bytes) : rest_(bytes) {}
  std::size_t read(std::span<std::uint8_t> buffer) override;

 private:
  ByteView rest_;
};

// Collects into memory; throws Error{limit} past `limit` bytes.
class MemorySink final : public Sink {
 public:
  explicit MemorySink(std::uint64_t limit) : limit_(limit) {}
  void write(ByteView bytes) override;
  const Bytes& bytes() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }

 private:
  std::uint64_t limit_;
  Bytes bytes_;
};

// Reads until `buffer` is full or the source ends; returns the count.
std::size_t read_full(Source& source, std::span<std::uint8_t> buffer);
// Copies to the end; returns the count. Uses one 256 KiB buffer.
std::uint64_t copy_all(Source& source, Sink& sink);
// Reads to the end; throws Error{limit} naming `what` past `limit` bytes.
Bytes read_all(Source& source, std::uint64_t limit, std::string_view what);

}  // namespace bundle
