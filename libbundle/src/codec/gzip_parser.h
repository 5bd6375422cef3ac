// Takes a gzip file (RFC 1952) apart without losing a byte of it.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "io/stream.h"

namespace bundle::codec {

// Largest gzip header with its name, comment and extra field.
inline constexpr std::size_t kMaxGzipHeader = 64 * 1024;
inline constexpr std::size_t kGzipTrailer = 8;

// Receives the parts of a gzip file in order. Header, deflate, trailer and rest together are every
// byte of the file, once; `plain` is what the deflate bytes inflate to.
class GzipVisitor {
 public:
  virtual ~GzipVisitor() = default;
  virtual void on_header(ByteView header) = 0;
  // Deflate bytes, before the plain bytes that they yield; and the plain bytes.
  virtual void on_deflate(ByteView compressed) = 0;
  virtual void on_plain(ByteView plain) = 0;
  // CRC-32 and length, not checked: ends a member.
  virtual void on_trailer(ByteView trailer) = 0;
  // What follows the last member.
  virtual void on_rest(ByteView bytes) = 0;
};

// Push parser. Memory: 300 KiB. Not thread-safe.
class GzipParser final : public Sink {
 public:
  explicit GzipParser(GzipVisitor& visitor);
  ~GzipParser() override;

  // False from the first byte that cannot belong to a gzip file on; further bytes are ignored.
  bool ok() const;
  void write(ByteView bytes) override;
  // True when the file ended where a gzip file may end.
  bool finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The extra-flags byte of a header (RFC 1952 section 2.3.1).
std::uint8_t gzip_extra_flags(ByteView header);

}  // namespace bundle::codec
