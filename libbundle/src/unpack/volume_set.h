// Finds the volumes of one bundle among folders and files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "format/index.h"
#include "format/volume.h"
#include "io/file_system.h"
#include "unpack/blob_source.h"
#include "unpack/leaf_source.h"

namespace bundle::unpack {

struct Volume {
  std::unique_ptr<ReadableFile> file;
  format::VolumeHeader header;
};

// What the volumes at hand and the loose files beside them say, before anything is verified.
// Reads only; keeps the files open, so that a folder may be bound elsewhere meanwhile.
struct VolumeSet {
  format::BundleId bundle_id{};
  std::uint32_t count = 0;      // volumes that the bundle was cut into
  std::vector<Volume> volumes;  // ascending by number
  format::FileList head;        // the same in every volume
  format::FileList tail;        // all volumes' and loose signatures and roots
  std::vector<Path> folders;    // where loose files were looked for
  // Of a carrier of plain blobs, which has no volumes: where the blobs are. Null: volumes.
  std::shared_ptr<const BlobSource> blobs;

  bool is_plain() const { return blobs != nullptr; }
};

// `sources` are folders (searched for *.bundle, not below) and volume files. All volumes must
// belong to one bundle.
// Throws Error{not_a_bundle} when there is none; {volume_foreign, volume_duplicate,
// volume_truncated, volume_corrupt, sidecar_mismatch, unsupported, media_unreadable} naming files.
// Peak memory: twice the head.
VolumeSet open_volumes(FileSystem& fs, const std::vector<Path>& sources);

// The same for volumes that are open already and may be far away: of the first one head and tail
// are read, of the others the header, which must name the same head. `loose` are the documents that
// stand beside them. Throws Error{not_a_bundle} when `files` is empty.
VolumeSet open_volumes(std::vector<std::unique_ptr<ReadableFile>> files,
                       const format::FileList& loose);

// A release in plain blobs as a set of no volumes: `documents` are statement.json, manifest.json
// and blobs.list, `signed_files` their signatures and what travels along. Its number is made from
// the statement, so that an interrupted import finds what is its own.
VolumeSet plain_volumes(format::FileList documents, format::FileList signed_files,
                        std::shared_ptr<const BlobSource> blobs);

// True when `path` is a folder with volumes in it, or a volume.
bool looks_like_bundle(FileSystem& fs, const Path& path);

// The leaves of a volume set. Needs the index to know their places.
class VolumeLeaves final : public LeafSource {
 public:
  // Throws Error{volume_corrupt|volume_truncated} when a volume's ranges do not fit the index.
  // Neither owned.
  VolumeLeaves(const VolumeSet& volumes, const format::Index& index);

  bool has(std::uint32_t leaf) const override { return copies(leaf) > 0; }
  std::size_t copies(std::uint32_t leaf) const override;
  void read(std::uint32_t leaf, std::size_t copy, std::span<std::uint8_t> buffer) const override;
  std::string where(std::uint32_t leaf, std::size_t copy) const override;

  // Where a leaf stands. Leaves that follow each other in a volume do so in its file.
  struct Place {
    const ReadableFile* file = nullptr;
    std::uint64_t offset = 0;
  };
  Place place(std::uint32_t leaf, std::size_t copy) const;

 private:
  struct Extent {
    const Volume* volume = nullptr;
    format::LeafRange range;
    std::uint64_t file_offset = 0;  // of its first leaf
  };
  const Extent& extent(std::uint32_t leaf, std::size_t copy) const;
  std::uint64_t offset(const Extent& extent, std::uint32_t leaf) const;

  const format::Index& index_;
  std::vector<Extent> extents_;
};

}  // namespace bundle::unpack
