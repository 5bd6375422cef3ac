#include "format/volume.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "format/byte_reader.h"

namespace bundle::format {
namespace {

constexpr std::size_t kHashedHeaderSize = kVolumeHeaderSize - Digest::kSize;
constexpr std::size_t kReservedHeaderBytes = 344;
constexpr std::size_t kMaxNameBytes = 128;

constexpr std::string_view kCopyHint =
    "The volume is damaged or was not copied whole: copy it again from the original, or use "
    "another "
    "stick.";

bool is_name_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name.front() != '.' &&
         std::ranges::all_of(name, is_name_char);
}

void check_ranges(const VolumeHeader& header, const ByteReader& reader) {
  std::uint64_t next = 0;
  for (const LeafRange& range : header.ranges) {
    if (range.count == 0 || range.first < next) reader.fail("has leaf ranges out of order");
    next = std::uint64_t{range.first} + range.count;
    if (next > UINT32_MAX) reader.fail("has a leaf range past the end");
  }
}

void check_header(const VolumeHeader& header, const ByteReader& reader) {
  if (header.count == 0 || header.count > kMaxVolumes) reader.fail("has a bad volume count");
  if (header.number == 0 || header.number > header.count) reader.fail("has a bad volume number");
  if (header.head_size > kMaxHeadBytes) reader.fail("has a head that is too large");
  if (header.data_offset != data_offset_for(header.head_size)) reader.fail("has a bad data offset");
  if (header.data_size > kMaxBlobBytes) reader.fail("has a data size that is too large");
  check_ranges(header, reader);
}

}  // namespace

bool is_volume_name(std::string_view name) {
  return name.ends_with(kVolumeSuffix) && !name.starts_with('.');
}

bool is_tail_name(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kSuffixes = {
      ".minisig", ".root.json", ".pub", ".revocations.json", ".channel.json"};
  return std::ranges::any_of(kSuffixes,
                             [&](std::string_view suffix) { return name.ends_with(suffix); });
}

std::uint64_t data_offset_for(std::uint64_t head_size) {
  const std::uint64_t end = kVolumeHeaderSize + head_size;
  return (end + kDataAlignment - 1) / kDataAlignment * kDataAlignment;
}

Bytes encode_volume_header(const VolumeHeader& header) {
  ByteWriter out;
  out.raw(as_bytes(kVolumeMagic));
  out.le(kVolumeVersion);
  out.le(kVolumeHeaderSize);
  out.raw(header.bundle_id);
  out.le(header.number);
  out.le(header.count);
  out.le(header.head_size);
  out.raw(header.head_digest.bytes());
  out.le(header.data_offset);
  out.le(header.data_size);
  out.le(static_cast<std::uint32_t>(header.ranges.size()));
  out.zeros(4);
  for (std::size_t i = 0; i < kMaxLeafRanges; ++i) {
    const LeafRange range = i < header.ranges.size() ? header.ranges[i] : LeafRange{};
    out.le(range.first);
    out.le(range.count);
  }
  out.zeros(kReservedHeaderBytes);
  out.raw(sha256(out.bytes()).bytes());
  return out.take();
}

VolumeHeader decode_volume_header(ByteView bytes, std::string_view what) {
  if (bytes.size() < kVolumeMagic.size() ||
      as_text(bytes.first(kVolumeMagic.size())) != kVolumeMagic) {
    throw Error(ErrorCode::not_a_bundle,
                fmt::format("{} is not a bundle volume, or its first bytes are damaged", what),
                std::string(kCopyHint));
  }
  if (bytes.size() != kVolumeHeaderSize) {
    throw Error(ErrorCode::volume_truncated,
                fmt::format("{} is too short for a volume header", what), std::string(kCopyHint));
  }
  if (sha256(bytes.first(kHashedHeaderSize)) !=
      Digest::from_bytes(bytes.subspan(kHashedHeaderSize))) {
    throw Error(
        ErrorCode::volume_corrupt,
        fmt::format("{}: the volume header (offset 0 to 511) does not match its checksum", what),
        std::string(kCopyHint));
  }
  ByteReader in(bytes, ErrorCode::volume_corrupt, what, kCopyHint);
  in.take(kVolumeMagic.size());
  if (const auto version = in.le<std::uint32_t>(); version != kVolumeVersion) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{} has bundle format version {}, this program knows version {}", what,
                            version, kVolumeVersion),
                "Use the newer bundle-import that came with the release.");
  }
  if (in.le<std::uint32_t>() != kVolumeHeaderSize) in.fail("has a bad header size");
  VolumeHeader header;
  std::ranges::copy(in.take(header.bundle_id.size()), header.bundle_id.begin());
  header.number = in.le<std::uint32_t>();
  header.count = in.le<std::uint32_t>();
  header.head_size = in.le<std::uint64_t>();
  header.head_digest = Digest::from_bytes(in.take(Digest::kSize));
  header.data_offset = in.le<std::uint64_t>();
  header.data_size = in.le<std::uint64_t>();
  const auto ranges = in.le<std::uint32_t>();
  if (ranges == 0 || ranges > kMaxLeafRanges) in.fail("has a bad number of leaf ranges");
  in.zeros(4);
  for (std::size_t i = 0; i < kMaxLeafRanges; ++i) {
    LeafRange range;
    range.first = in.le<std::uint32_t>();
    range.count = in.le<std::uint32_t>();
    if (i < ranges) {
      header.ranges.push_back(range);
    } else if (range != LeafRange{}) {
      in.fail("has data in an unused leaf range");
    }
  }
  in.zeros(kReservedHeaderBytes);
  check_header(header, in);
  return header;
}

Bytes encode_file_list(FileList files) {
  std::ranges::sort(files, {}, &NamedFile::name);
  ByteWriter out;
  out.le(static_cast<std::uint32_t>(files.size()));
  for (const NamedFile& file : files) {
    out.le(static_cast<std::uint16_t>(file.name.size()));
    out.raw(as_bytes(file.name));
    out.le(static_cast<std::uint64_t>(file.content.size()));
    out.raw(as_bytes(file.content));
  }
  return out.take();
}

FileList decode_file_list(ByteView bytes, std::string_view what) {
  ByteReader in(bytes, ErrorCode::volume_corrupt, what, kCopyHint);
  const auto count = in.le<std::uint32_t>();
  if (count > kMaxListFiles) in.fail("has too many files in a list");
  FileList files;
  for (std::uint32_t i = 0; i < count; ++i) {
    NamedFile file;
    const auto name_size = in.le<std::uint16_t>();
    file.name = as_text(in.take(name_size));
    if (!is_file_name(file.name)) in.fail("has a bad file name in a list");
    if (!files.empty() && files.back().name >= file.name) in.fail("has file names out of order");
    file.content = as_text(in.take(in.le<std::uint64_t>()));
    files.push_back(std::move(file));
  }
  if (!in.at_end()) in.fail("has bytes after the end of a list");
  return files;
}

Bytes encode_tail(FileList files) {
  const Bytes list = encode_file_list(std::move(files));
  ByteWriter out;
  out.raw(as_bytes(kTailMagic));
  out.le(static_cast<std::uint64_t>(list.size()));
  out.raw(sha256(list).bytes());
  out.raw(list);
  return out.take();
}

FileList decode_tail(ByteView bytes, std::string_view what) {
  ByteReader in(bytes, ErrorCode::volume_corrupt, fmt::format("{}: the tail (signatures)", what),
                kCopyHint);
  if (as_text(in.take(kTailMagic.size())) != kTailMagic) in.fail("does not begin with its magic");
  const auto size = in.le<std::uint64_t>();
  const Digest digest = Digest::from_bytes(in.take(Digest::kSize));
  if (size != in.remaining()) in.fail("does not end at the end of the file");
  const ByteView list = in.take(size);
  if (sha256(list) != digest) in.fail("does not match its checksum");
  return decode_file_list(list, what);
}

const NamedFile* find_file(const FileList& files, std::string_view name) {
  const auto found = std::ranges::lower_bound(files, name, {}, &NamedFile::name);
  return found != files.end() && found->name == name ? &*found : nullptr;
}

}  // namespace bundle::format
