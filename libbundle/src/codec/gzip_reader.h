// Inflates a gzip stream while it is read.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "io/stream.h"

namespace bundle::codec {

// All members of the stream one after the other, as gunzip reads them (RFC 1952 section 2.2).
// Throws Error{archive_invalid} naming `what` for a damaged or truncated stream and for anything
// behind the last member, Error{bomb} past `limit` bytes of output.
// Not thread-safe. Memory: 110 KiB.
class GzipReader final : public Source {
 public:
  GzipReader(Source& source, std::uint64_t limit, std::string_view what);  // source outlives this
  ~GzipReader() override;
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  std::size_t read(std::span<std::uint8_t> buffer) override;

 private:
  struct State;
  bool refill();
  [[noreturn]] void fail(std::string_view reason) const;

  Source& source_;
  std::uint64_t limit_;
  std::string what_;
  std::unique_ptr<State> state_;
};

// True when `start` begins as every gzip stream does (1f 8b 08).
bool is_gzip(ByteView start);

}  // namespace bundle::codec
