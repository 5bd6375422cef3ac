// Reading at any offset of a gzip file: what a cursor gives must not depend on where it was before.
// The input is four pairs of offset and length, then the file.
#include <algorithm>
#include <cstddef>
#include <optional>

#include "bundle/error.h"
#include "codec/inflate_cursor.h"

using namespace bundle;

namespace {

constexpr std::size_t kReads = 4;
constexpr std::uint64_t kUnit = 251;       // of offsets and lengths
constexpr std::uint64_t kSpacing = 2'000;  // plain bytes between two places to begin at

class MemoryFile final : public ReadableFile {
 public:
  explicit MemoryFile(ByteView bytes) : bytes_(bytes) {}
  std::size_t read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const override {
    const auto start = static_cast<std::size_t>(std::min<std::uint64_t>(offset, bytes_.size()));
    const ByteView part = bytes_.subspan(start, std::min(buffer.size(), bytes_.size() - start));
    std::ranges::copy(part, buffer.begin());
    return part.size();
  }
  std::uint64_t size() const override { return bytes_.size(); }
  const Path& path() const override { return path_; }

 private:
  ByteView bytes_;
  Path path_ = "memory";
};

// Nothing when the file does not have that many good bytes.
std::optional<Bytes> read(codec::InflateCursor& cursor, std::uint64_t offset,
                          std::uint64_t length) {
  MemorySink sink(1 << 20);
  try {
    cursor.copy(offset, length, sink);
  } catch (const Error&) {
    return std::nullopt;
  }
  return sink.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 * kReads) return 0;
  const MemoryFile file(ByteView(data, size).subspan(2 * kReads));
  codec::InflatePoints points(kSpacing);
  codec::InflateCursor moved(file, points);
  for (std::size_t i = 0; i < kReads; ++i) {
    const std::uint64_t offset = data[2 * i] * kUnit;
    const std::uint64_t length = data[2 * i + 1] * kUnit;
    codec::InflatePoints none(UINT64_MAX);
    codec::InflateCursor fresh(file, none);
    const auto expected = read(fresh, offset, length);
    // A cursor that begins in the middle does not see damage before it, nor a wrong checksum.
    const auto got = read(moved, offset, length);
    if (expected && got != expected) __builtin_trap();
  }
  return 0;
}
