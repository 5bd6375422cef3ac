// Finds blocks that are alike, though not equal.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace bundle::pack {

// Super-features after Finesse (Zhang et al., "Fine-Grained Feature Locality based Fast Resemblance
// Detection for Post-Deduplication Delta Compression", FAST 2019): the largest gear hash of each of
// twelve parts of the block, four of them to a super-feature. Two blocks with one super-feature in
// common very likely share most of their content.
using Sketch = std::array<std::uint64_t, 3>;

// Nothing for blocks that are too small to say anything about.
std::optional<Sketch> sketch(ByteView block);

}  // namespace bundle::pack
