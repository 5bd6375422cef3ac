// Every length or count that comes from outside has its bound here, in bytes unless said
// otherwise. docs/bundle-format.md section 6 lists the same values; a test compares them.
#pragma once

#include <cstdint>

namespace bundle::format {

inline constexpr std::uint64_t kMaxVolumes = 4096;
inline constexpr std::uint64_t kMaxHeadBytes = 128 << 20;
inline constexpr std::uint64_t kMaxTailBytes = 4 << 20;
inline constexpr std::uint64_t kMaxListFiles = 1024;
inline constexpr std::uint64_t kMaxDocumentBytes = 16 << 20;
inline constexpr std::uint64_t kMaxIndexBytes = 64 << 20;
inline constexpr std::uint64_t kMaxBlobListBytes = 64 << 20;
inline constexpr std::uint64_t kMaxGroupPlain = 64 << 20;
inline constexpr std::uint64_t kMaxGroupPacked = 65 << 20;
inline constexpr std::uint64_t kMaxWindowLog = 27;
inline constexpr std::uint64_t kMaxReferenceBytes = 64 << 20;
inline constexpr std::uint64_t kMaxReferencedGroupBytes = 96 << 20;
inline constexpr std::uint64_t kMaxDifferenceTable = 4 << 20;
inline constexpr std::uint64_t kMaxReferenceListBytes = 4 << 20;
inline constexpr std::uint64_t kMaxRecipeBytes = 16 << 20;
inline constexpr std::uint64_t kMaxLiteral = 64 << 10;
inline constexpr std::uint64_t kMaxEncoderParams = 64;
inline constexpr std::uint64_t kMaxStreamParts = 1 << 16;
inline constexpr std::uint64_t kMaxPartPlain = 16 << 20;
inline constexpr std::uint64_t kMaxStreamFlushes = 1 << 16;
inline constexpr std::uint64_t kMaxVerbatimBytes = 16 << 20;
inline constexpr std::uint64_t kMaxBlobBytes = std::uint64_t{16} << 40;

}  // namespace bundle::format
