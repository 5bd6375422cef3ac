// Fields of one 512-byte tar header block. Internal to codec/tar*.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace bundle::codec::tar {

// Offset and length of a field (POSIX ustar; star's prefix is shorter).
struct Field {
  std::size_t offset;
  std::size_t size;
};
inline constexpr Field kName{0, 100};
inline constexpr Field kMode{100, 8};
inline constexpr Field kUid{108, 8};
inline constexpr Field kGid{116, 8};
inline constexpr Field kSize{124, 12};
inline constexpr Field kMtime{136, 12};
inline constexpr Field kChecksum{148, 8};
inline constexpr Field kType{156, 1};
inline constexpr Field kLinkName{157, 100};
inline constexpr Field kMagic{257, 8};  // magic and version
inline constexpr Field kPrefix{345, 155};
inline constexpr Field kStarPrefix{345, 131};
inline constexpr Field kStarTrailer{508, 4};
inline constexpr Field kGnuExtended{482, 1};     // of a sparse header: a map block follows
inline constexpr Field kGnuMapExtended{504, 1};  // of a sparse map block: another one follows

inline ByteView field(ByteView block, Field f) {
  return block.subspan(f.offset, f.size);
}

bool is_zero(ByteView block);
// The sum as POSIX computes it, or with signed bytes as some old writers did.
bool has_valid_checksum(ByteView block);
std::uint64_t checksum(ByteView block);
// Octal digits between spaces and NULs, or GNU base-256. Nothing when malformed or negative.
std::optional<std::uint64_t> number(ByteView field);
// Up to the first NUL.
std::string text(ByteView field);
// prefix "/" name where the format has a prefix.
std::string path(ByteView block);

using PaxRecords = std::vector<std::pair<std::string_view, std::string_view>>;
// "length key=value\n" records; views into `content`. Nothing when malformed.
std::optional<PaxRecords> pax_records(std::string_view content);
// Digits only.
std::optional<std::uint64_t> decimal(std::string_view digits);

}  // namespace bundle::codec::tar
