// Volume header and file lists: docs/bundle-format.md section 3.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "format/limits.h"

namespace bundle::format {

inline constexpr std::string_view kVolumeMagic = "BNDLVOL1";
inline constexpr std::string_view kTailMagic = "BNDLSIG1";
inline constexpr std::uint32_t kVolumeVersion = 1;
inline constexpr std::uint32_t kVolumeHeaderSize = 512;
inline constexpr std::uint64_t kDataAlignment = 4096;
inline constexpr std::size_t kMaxLeafRanges = 4;
inline constexpr std::size_t kTailFrameSize = 48;  // magic, list size, digest of the list
inline constexpr std::string_view kVolumeSuffix = ".bundle";

// Which files of a folder belong to a bundle: volumes, and what a tail may hold as well.
bool is_volume_name(std::string_view name);
bool is_tail_name(std::string_view name);

// The first 16 bytes of SHA-256(carrier.json).
using BundleId = std::array<std::uint8_t, 16>;

struct LeafRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool operator==(const LeafRange&) const = default;
};

struct VolumeHeader {
  BundleId bundle_id{};
  std::uint32_t number = 0;  // from 1
  std::uint32_t count = 0;
  std::uint64_t head_size = 0;
  Digest head_digest;
  std::uint64_t data_offset = 0;
  std::uint64_t data_size = 0;
  std::vector<LeafRange> ranges;
};

Bytes encode_volume_header(const VolumeHeader& header);
// `bytes` has kVolumeHeaderSize bytes. Throws Error{not_a_bundle} on another magic,
// Error{unsupported} on a later version, Error{volume_corrupt} naming `what` otherwise.
VolumeHeader decode_volume_header(ByteView bytes, std::string_view what);

// Where the leaves of a volume begin, given the size of its head.
std::uint64_t data_offset_for(std::uint64_t head_size);

struct NamedFile {
  std::string name;
  std::string content;
  bool operator==(const NamedFile&) const = default;
};
// Sorted by name.
using FileList = std::vector<NamedFile>;

Bytes encode_file_list(FileList files);
// Throws Error{volume_corrupt} naming `what`.
FileList decode_file_list(ByteView bytes, std::string_view what);
// The tail with its frame.
Bytes encode_tail(FileList files);
FileList decode_tail(ByteView bytes, std::string_view what);

const NamedFile* find_file(const FileList& files, std::string_view name);

}  // namespace bundle::format
