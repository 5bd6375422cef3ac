#include "pack/sketch.h"

#include <algorithm>
#include <vector>

#include "pack/gear.h"

namespace bundle::pack {
namespace {

constexpr std::size_t kParts = 12;
constexpr std::size_t kGroup = 4;
constexpr std::size_t kMinSize = 2048;

}  // namespace

std::optional<Sketch> sketch(ByteView block) {
  if (block.size() < kMinSize) return std::nullopt;
  std::array<std::uint64_t, kParts> features{};
  std::uint64_t hash = 0;
  for (std::size_t part = 0; part < kParts; ++part) {
    const std::size_t end = block.size() * (part + 1) / kParts;
    std::uint64_t most = 0;
    for (std::size_t i = block.size() * part / kParts; i < end; ++i) {
      hash = (hash << 1) + kGear[block[i]];
      most = std::max(most, hash);
    }
    features[part] = most;
  }
  // The k-th largest of every group of neighbours, so that all parts of the block count in each.
  for (std::size_t at = 0; at < kParts; at += kParts / kGroup) {
    std::sort(features.begin() + static_cast<std::ptrdiff_t>(at),
              features.begin() + static_cast<std::ptrdiff_t>(at + kParts / kGroup));
  }
  Sketch result{};
  for (std::size_t i = 0; i < kParts; ++i) {
    std::uint64_t& feature = result[i % result.size()];
    feature = mix(feature ^ features[i]);
  }
  return result;
}

}  // namespace bundle::pack
