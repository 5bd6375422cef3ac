#include "io/stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"

namespace bundle {
namespace {
constexpr std::size_t kCopyBuffer = 256 * 1024;
}

std::size_t MemorySource::read(std::span<std::uint8_t> buffer) {
  const std::size_t count = std::min(buffer.size(), rest_.size());
  std::copy_n(rest_.begin(), count, buffer.begin());
  rest_ = rest_.subspan(count);
  return count;
}

void MemorySink::write(ByteView bytes) {
  if (bytes.size() > limit_ - bytes_.size()) {
    throw Error(ErrorCode::limit,
                fmt::format("more than {} bytes where no more are allowed", limit_));
  }
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

std::size_t read_full(Source& source, std::span<std::uint8_t> buffer) {
  std::size_t have = 0;
  while (have < buffer.size()) {
    const std::size_t count = source.read(buffer.subspan(have));
    if (count == 0) break;
    have += count;
  }
  return have;
}

std::uint64_t copy_all(Source& source, Sink& sink) {
  Bytes buffer(kCopyBuffer);
  std::uint64_t total = 0;
  while (const std::size_t count = source.read(buffer)) {
    sink.write(ByteView(buffer).first(count));
    total += count;
  }
  return total;
}

Bytes read_all(Source& source, std::uint64_t limit, std::string_view what) {
  Bytes all;
  Bytes buffer(64 * 1024);
  while (const std::size_t count = source.read(buffer)) {
    if (count > limit - all.size()) {
      throw Error(ErrorCode::limit,
                  fmt::format("{} is larger than the limit of {} bytes", what, limit));
    }
    all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return all;
}

}  // namespace bundle
