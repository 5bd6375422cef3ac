#include "unpack/volume_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "bundle/error.h"

namespace bundle::unpack {
namespace {

using format::FileList;
using format::NamedFile;
using format::VolumeHeader;

constexpr std::string_view kCopyHint =
    "Copy the volume again from the original, or use another stick.";

// Loose documents that stand beside the volumes for people and stock tools.
constexpr std::array<std::string_view, 4> kLooseDocuments = {"statement.json", "carrier.json",
                                                             "manifest.json", "blobs.list"};

Bytes read_part(const ReadableFile& file, std::uint64_t offset, std::uint64_t size) {
  Bytes bytes(static_cast<std::size_t>(size));
  if (file.read_at(offset, bytes) != bytes.size()) {
    throw Error(ErrorCode::volume_truncated,
                fmt::format("{} ends at byte {}, but {} bytes at offset {} are needed",
                            file.path().string(), file.size(), size, offset),
                std::string(kCopyHint));
  }
  return bytes;
}

VolumeHeader read_header(const ReadableFile& file) {
  Bytes bytes(
      static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), format::kVolumeHeaderSize)));
  bytes.resize(file.read_at(0, bytes));
  return format::decode_volume_header(bytes, file.path().string());
}

void check_length(const ReadableFile& file, const VolumeHeader& header) {
  const std::uint64_t least = header.data_offset + header.data_size + format::kTailFrameSize;
  if (file.size() < least) {
    throw Error(ErrorCode::volume_truncated,
                fmt::format("{} has {} bytes, but at least {} belong to it", file.path().string(),
                            file.size(), least),
                std::string(kCopyHint));
  }
}

Bytes read_head(const Volume& volume) {
  const VolumeHeader& header = volume.header;
  const std::uint64_t end = format::kVolumeHeaderSize + header.head_size;
  // With the padding behind it, by one reading.
  Bytes head = read_part(*volume.file, format::kVolumeHeaderSize,
                         header.data_offset - format::kVolumeHeaderSize);
  const Bytes padding(head.begin() + static_cast<std::ptrdiff_t>(header.head_size), head.end());
  head.resize(static_cast<std::size_t>(header.head_size));
  if (sha256(head) != header.head_digest) {
    throw Error(ErrorCode::volume_corrupt,
                fmt::format("{}: the head (offset {} to {}) does not match its checksum",
                            volume.file->path().string(), format::kVolumeHeaderSize,
                            format::kVolumeHeaderSize + header.head_size - 1),
                std::string(kCopyHint));
  }
  if (std::ranges::any_of(padding, [](std::uint8_t byte) { return byte != 0; })) {
    throw Error(ErrorCode::volume_corrupt,
                fmt::format("{}: data where zero bytes belong (offset {} to {})",
                            volume.file->path().string(), end, header.data_offset - 1),
                std::string(kCopyHint));
  }
  return head;
}

FileList read_tail(const Volume& volume) {
  const std::uint64_t start = volume.header.data_offset + volume.header.data_size;
  const std::uint64_t size = volume.file->size() - start;
  const std::string what = fmt::format("{} (from offset {})", volume.file->path().string(), start);
  if (size > format::kMaxTailBytes) {
    throw Error(ErrorCode::volume_corrupt, fmt::format("{}: too many bytes after the data", what),
                std::string(kCopyHint));
  }
  return format::decode_tail(read_part(*volume.file, start, size), what);
}

void merge_file(FileList& into, const NamedFile& file, std::string_view where) {
  const auto place = std::ranges::lower_bound(into, file.name, {}, &NamedFile::name);
  if (place == into.end() || place->name != file.name) {
    into.insert(place, file);
  } else if (place->content != file.content) {
    throw Error(
        ErrorCode::sidecar_mismatch,
        fmt::format("{} differs from the copy of {} elsewhere in the bundle", where, file.name),
        "One of the two is damaged or belongs to another bundle: copy the bundle again from "
        "the original.");
  }
}

// A hostile medium may hold links, pipes and devices under any name.
void require_file(FileSystem& fs, const Path& path) {
  const auto status = fs.status(path);
  if (status && status->kind == FileKind::regular) return;
  throw Error(ErrorCode::unsafe_path, fmt::format("{} is not a plain file", path.string()),
              "Remove it from the medium, or copy the bundle again from the original.");
}

// What volumes and loose files add to the tail is held in memory: bounded over all of them.
void check_tail(const FileList& tail, std::string_view where) {
  std::uint64_t bytes = 0;
  for (const NamedFile& file : tail) bytes += file.content.size();
  if (tail.size() <= format::kMaxListFiles && bytes <= format::kMaxTailBytes) return;
  throw Error(ErrorCode::limit,
              fmt::format("{}: more than {} signature files or {} bytes of them together", where,
                          format::kMaxListFiles, format::kMaxTailBytes),
              "Remove signature files that do not belong to this bundle.");
}

void merge_loose_files(FileSystem& fs, const Path& folder, VolumeSet& set) {
  for (const std::string& name : fs.list(folder)) {
    const bool document = std::ranges::find(kLooseDocuments, name) != kLooseDocuments.end();
    if (!document && !format::is_tail_name(name)) continue;
    // Of a delta manifest and blob list stand in the head in another form: nothing to compare with.
    if (document && format::find_file(set.head, name) == nullptr) continue;
    const Path path = folder / name;
    require_file(fs, path);
    const std::uint64_t limit = document ? format::kMaxBlobListBytes : format::kMaxTailBytes;
    const NamedFile file{name, read_text_file(fs, path, limit)};
    FileList& list = document ? set.head : set.tail;
    merge_file(list, file, path.string());
    check_tail(set.tail, path.string());
  }
}

std::string describe(const Volume& volume) {
  return fmt::format("{} (volume {} of {})", volume.file->path().string(), volume.header.number,
                     volume.header.count);
}

bool same_volume(const VolumeHeader& a, const VolumeHeader& b) {
  return a.ranges == b.ranges && a.data_size == b.data_size;
}

// A second copy of a volume is welcome: it can stand in for a damaged one. Two different files
// with one number are not.
void check_against(const Volume& volume, const std::vector<Volume>& others) {
  for (const Volume& other : others) {
    if (other.header.bundle_id != volume.header.bundle_id) {
      throw Error(
          ErrorCode::volume_foreign,
          fmt::format("{} and {} belong to different bundles", describe(other), describe(volume)),
          "Import one bundle at a time: name only the volumes of one of them.");
    }
    if (other.header.head_digest != volume.header.head_digest) {
      throw Error(
          ErrorCode::volume_corrupt,
          fmt::format("{} and {} disagree about the bundle", describe(other), describe(volume)),
          std::string(kCopyHint));
    }
    if (other.header.count == volume.header.count && other.header.number == volume.header.number &&
        !same_volume(other.header, volume.header)) {
      throw Error(ErrorCode::volume_duplicate,
                  fmt::format("{} and {} are different files with the same number", describe(other),
                              describe(volume)),
                  "Remove the one that does not belong there.");
    }
  }
}

std::vector<Path> volume_files(FileSystem& fs, const Path& source, const FileStatus& status) {
  if (status.kind != FileKind::directory) return {source};
  std::vector<Path> files;
  for (const std::string& name : fs.list(source)) {
    if (!format::is_volume_name(name)) continue;
    require_file(fs, source / name);
    files.push_back(source / name);
  }
  return files;
}

void add_volume(VolumeSet& set, std::unique_ptr<ReadableFile> opened, bool read_lists) {
  Volume volume{std::move(opened), {}};
  volume.header = read_header(*volume.file);
  check_length(*volume.file, volume.header);
  check_against(volume, set.volumes);
  if (read_lists) {
    const std::string path = volume.file->path().string();
    const Bytes head = read_head(volume);
    if (set.volumes.empty()) set.head = format::decode_file_list(head, path);
    for (const NamedFile& file : read_tail(volume)) merge_file(set.tail, file, path);
    check_tail(set.tail, path);
  }
  set.volumes.push_back(std::move(volume));
}

void finish(VolumeSet& set) {
  std::ranges::stable_sort(set.volumes, {}, [](const Volume& v) { return v.header.number; });
  set.bundle_id = set.volumes.front().header.bundle_id;
  set.count = set.volumes.front().header.count;
}

FileStatus require_status(FileSystem& fs, const Path& source) {
  auto status = fs.status(source);
  if (status && status->kind == FileKind::symlink) {
    status = fs.status(std::filesystem::canonical(source));
  }
  if (!status) {
    throw Error(ErrorCode::not_found, fmt::format("{} does not exist", source.string()),
                "Check the path, and that the stick is mounted.");
  }
  return *status;
}

}  // namespace

VolumeSet open_volumes(FileSystem& fs, const std::vector<Path>& sources) {
  VolumeSet set;
  std::set<Path> folders;
  for (const Path& source : sources) {
    const FileStatus status = require_status(fs, source);
    for (const Path& path : volume_files(fs, source, status)) add_volume(set, fs.open(path), true);
    const Path folder = status.kind == FileKind::directory ? source : source.parent_path();
    folders.insert(folder.empty() ? Path(".") : folder);
  }
  if (set.volumes.empty()) {
    std::string names;
    for (const Path& source : sources) names += fmt::format(" {}", source.string());
    throw Error(ErrorCode::not_a_bundle,
                fmt::format("no bundle volume (*.bundle) found in{}", names),
                "Check that this is the right stick and folder.");
  }
  for (const Path& folder : folders) merge_loose_files(fs, folder, set);
  finish(set);
  set.folders.assign(folders.begin(), folders.end());
  return set;
}

VolumeSet open_volumes(std::vector<std::unique_ptr<ReadableFile>> files, const FileList& loose) {
  if (files.empty()) throw Error(ErrorCode::not_a_bundle, "a bundle without volumes");
  VolumeSet set;
  for (auto& file : files) add_volume(set, std::move(file), set.volumes.empty());
  const std::string where = set.volumes.front().file->path().string();
  for (const NamedFile& file : loose) {
    merge_file(set.tail, file, where);
    check_tail(set.tail, where);
  }
  finish(set);
  return set;
}

VolumeSet plain_volumes(format::FileList documents, format::FileList signed_files,
                        std::shared_ptr<const BlobSource> blobs) {
  VolumeSet set;
  if (const format::NamedFile* file = format::find_file(documents, "statement.json")) {
    const Digest digest =
        sha256(as_bytes("plain blobs of " + sha256(as_bytes(file->content)).text()));
    std::ranges::copy(digest.bytes().first(set.bundle_id.size()), set.bundle_id.begin());
  }
  set.head = std::move(documents);
  set.tail = std::move(signed_files);
  set.blobs = std::move(blobs);
  return set;
}

bool looks_like_bundle(FileSystem& fs, const Path& path) {
  const auto status = fs.status(path);
  if (!status) return false;
  if (status->kind != FileKind::directory) return format::is_volume_name(path.filename().string());
  return std::ranges::any_of(fs.list(path), format::is_volume_name);
}

VolumeLeaves::VolumeLeaves(const VolumeSet& volumes, const format::Index& index) : index_(index) {
  for (const Volume& volume : volumes.volumes) {
    std::uint64_t offset = volume.header.data_offset;
    for (const format::LeafRange& range : volume.header.ranges) {
      const std::uint64_t end = std::uint64_t{range.first} + range.count;
      if (end > index.leaf_hashes.size()) {
        throw Error(ErrorCode::volume_corrupt,
                    fmt::format("{} claims leaves that the index does not have", describe(volume)),
                    std::string(kCopyHint));
      }
      extents_.push_back({&volume, range, offset});
      const format::LeafPlace last = index.leaf_place(static_cast<std::uint32_t>(end - 1));
      offset += last.packed_offset + last.size - index.leaf_place(range.first).packed_offset;
    }
    if (offset != volume.header.data_offset + volume.header.data_size) {
      throw Error(ErrorCode::volume_corrupt,
                  fmt::format("{}: its data size does not fit its leaves", describe(volume)),
                  std::string(kCopyHint));
    }
  }
}

std::size_t VolumeLeaves::copies(std::uint32_t leaf) const {
  return static_cast<std::size_t>(std::ranges::count_if(extents_, [leaf](const Extent& extent) {
    return leaf >= extent.range.first && leaf - extent.range.first < extent.range.count;
  }));
}

const VolumeLeaves::Extent& VolumeLeaves::extent(std::uint32_t leaf, std::size_t copy) const {
  for (const Extent& extent : extents_) {
    if (leaf < extent.range.first || leaf - extent.range.first >= extent.range.count) continue;
    if (copy-- == 0) return extent;
  }
  throw Error(ErrorCode::internal, "a leaf was asked from a volume that lacks it");
}

std::uint64_t VolumeLeaves::offset(const Extent& extent, std::uint32_t leaf) const {
  return extent.file_offset + index_.leaf_place(leaf).packed_offset -
         index_.leaf_place(extent.range.first).packed_offset;
}

void VolumeLeaves::read(std::uint32_t leaf, std::size_t copy,
                        std::span<std::uint8_t> buffer) const {
  const Place from = place(leaf, copy);
  if (from.file->read_at(from.offset, buffer) != buffer.size()) {
    throw Error(ErrorCode::volume_truncated,
                fmt::format("{} ends early", from.file->path().string()), std::string(kCopyHint));
  }
}

VolumeLeaves::Place VolumeLeaves::place(std::uint32_t leaf, std::size_t copy) const {
  const Extent& found = extent(leaf, copy);
  return {found.volume->file.get(), offset(found, leaf)};
}

std::string VolumeLeaves::where(std::uint32_t leaf, std::size_t copy) const {
  const Place from = place(leaf, copy);
  return fmt::format("{} at offset {}", from.file->path().string(), from.offset);
}

}  // namespace bundle::unpack
