#include "pack/chunker.h"

#include <algorithm>
#include <string_view>

#include "pack/gear.h"

namespace bundle::pack {
namespace {

// Bits that must be zero at a cut: more of them before the usual size, fewer behind it. The upper
// ones, which depend on most bytes.
constexpr std::uint64_t high_bits(int count) {
  return ~std::uint64_t{0} << (64 - count);
}
constexpr std::uint64_t kHard = high_bits(18);
constexpr std::uint64_t kEasy = high_bits(14);

bool has_at(ByteView bytes, std::size_t offset, std::string_view magic) {
  return bytes.size() >= offset + magic.size() &&
         as_text(bytes.subspan(offset, magic.size())) == magic;
}

}  // namespace

void Chunker::start() {
  kind_ = Kind::unknown;
  hash_ = 0;
}

// A partition table, or one of the usual file systems and images of virtual machines.
bool Chunker::is_disk_image(ByteView start) {
  return has_at(start, 510, "\x55\xAA") || has_at(start, 512, "EFI PART") ||
         has_at(start, 0x438, "\x53\xEF") || has_at(start, 0, "XFSB") || has_at(start, 0, "hsqs") ||
         has_at(start, 0, "QFI\xFB");
}

std::size_t Chunker::take(ByteView chunk, ByteView bytes, bool& complete) {
  // What it is shows before the first chunk can end.
  const std::size_t passed = std::min(bytes.size(), kMin - std::min(kMin, chunk.size()));
  complete = false;
  if (passed == bytes.size()) return passed;
  if (kind_ == Kind::unknown) {
    Bytes start(chunk.begin(), chunk.end());
    start.insert(start.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(passed));
    kind_ = is_disk_image(start) ? Kind::disk : Kind::content;
  }
  if (kind_ == Kind::disk) {
    const std::size_t part = std::min(bytes.size(), kDiskBlock - chunk.size());
    complete = chunk.size() + part == kDiskBlock;
    return part;
  }
  const std::size_t end = std::min(bytes.size(), kMax - chunk.size());
  for (std::size_t at = passed; at < end; ++at) {
    hash_ = (hash_ << 1) + kGear[bytes[at]];
    const std::uint64_t mask = chunk.size() + at < kUsual ? kHard : kEasy;
    if ((hash_ & mask) != 0) continue;
    complete = true;
    hash_ = 0;
    return at + 1;
  }
  complete = chunk.size() + end == kMax;
  if (complete) hash_ = 0;
  return end;
}

}  // namespace bundle::pack
