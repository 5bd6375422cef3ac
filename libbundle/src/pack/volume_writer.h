// Writes the volumes of a bundle: used by make, split and join alike.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "format/index.h"
#include "format/volume.h"
#include "io/file_system.h"
#include "unpack/leaf_source.h"

namespace bundle::pack {

// Just below FAT32's 4 GiB - 1.
inline constexpr std::uint64_t kDefaultVolumeSize = 4'294'963'200;

struct VolumeJob {
  format::BundleId bundle_id{};
  std::string name;  // "example-appliance-1.4.0": what the files are called
  format::FileList head;
  format::FileList tail;
  std::uint64_t volume_size = kDefaultVolumeSize;  // no file gets larger
};

// Room that each volume keeps for signatures that are added later.
inline constexpr std::uint64_t kTailReserve = 64 << 10;

// Leaves are checked against the index as they pass. Files get their names only when all are
// whole and durable. `copied` is called for each leaf that will not be read again.
// Returns the paths. Throws Error{usage} when volume_size is too small for head and one leaf,
// Error{name_collision} when `directory` holds volumes already.
std::vector<Path> write_volumes(FileSystem& fs, const Path& directory, const VolumeJob& job,
                                const format::Index& index, const unpack::LeafSource& leaves,
                                const std::function<void(std::uint32_t)>& copied,
                                Progress& progress, const Cancel& cancel);

// The documents of head and tail as loose files beside the volumes, for people and stock tools.
void write_loose_files(FileSystem& fs, const Path& directory, const format::FileList& head,
                       const format::FileList& tail);

}  // namespace bundle::pack
