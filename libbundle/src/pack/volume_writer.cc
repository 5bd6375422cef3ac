#include "pack/volume_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "unpack/group_reader.h"

namespace bundle::pack {
namespace {

using format::LeafRange;
using format::VolumeHeader;

// Recipes are repeated in every volume as long as they take at most this share of it.
constexpr std::uint64_t kRecipeShare = 8;

// Which leaves go on one volume.
struct VolumePlan {
  std::vector<LeafRange> ranges;
  std::uint64_t data_size = 0;
};

std::uint32_t count_recipe_leaves(const format::Index& index) {
  std::uint32_t count = 0;
  for (const format::Group& group : index.groups) {
    if (group.stream != format::kRecipeStream) break;
    count = group.first_leaf + group.leaf_count();
  }
  return count;
}

std::uint64_t leaves_size(const format::Index& index, const LeafRange& range) {
  if (range.count == 0) return 0;
  const format::LeafPlace last = index.leaf_place(range.first + range.count - 1);
  return last.packed_offset + last.size - index.leaf_place(range.first).packed_offset;
}

void add_range(VolumePlan& plan, const format::Index& index, const LeafRange& range) {
  if (range.count == 0) return;
  plan.data_size += leaves_size(index, range);
  if (!plan.ranges.empty() && plan.ranges.back().first + plan.ranges.back().count == range.first) {
    plan.ranges.back().count += range.count;
  } else {
    plan.ranges.push_back(range);
  }
}

// Fills each volume up to `room` bytes of leaves.
std::vector<VolumePlan> plan_volumes(const format::Index& index, std::uint64_t room) {
  const auto leaf_count = static_cast<std::uint32_t>(index.leaf_hashes.size());
  LeafRange repeated{0, count_recipe_leaves(index)};
  if (leaves_size(index, repeated) > room / kRecipeShare) repeated.count = 0;
  const std::uint64_t share = room - leaves_size(index, repeated);

  std::vector<VolumePlan> plans;
  std::uint32_t next = repeated.count;
  do {
    LeafRange range{next, 0};
    std::uint64_t size = 0;
    while (next < leaf_count && size + index.leaf_place(next).size <= share) {
      size += index.leaf_place(next++).size;
      ++range.count;
    }
    VolumePlan plan;
    add_range(plan, index, repeated);
    add_range(plan, index, range);
    plans.push_back(std::move(plan));
  } while (next < leaf_count);
  return plans;
}

std::string volume_name(const std::string& name, std::size_t number, std::size_t count) {
  if (count == 1) return fmt::format("{}{}", name, format::kVolumeSuffix);
  const std::size_t digits = std::to_string(count).size();
  return fmt::format("{}.vol{:0{}}of{}{}", name, number, digits, count, format::kVolumeSuffix);
}

void require_empty(FileSystem& fs, const Path& directory) {
  for (const std::string& file : fs.list(directory)) {
    if (file.ends_with(format::kVolumeSuffix)) {
      throw Error(ErrorCode::name_collision,
                  fmt::format("{} holds a bundle already ({})", directory.string(), file),
                  "Name another folder, or remove the old bundle first.");
    }
  }
}

class VolumeRun {
 public:
  VolumeRun(const VolumeJob& job, const format::Index& index, const unpack::LeafSource& leaves,
            const std::function<void(std::uint32_t)>& copied, Progress& progress,
            const Cancel& cancel)
      : job_(job),
        index_(index),
        leaves_(leaves),
        copied_(copied),
        progress_(progress),
        cancel_(cancel),
        head_(format::encode_file_list(job.head)),
        tail_(format::encode_tail(job.tail)) {}

  std::uint64_t overhead() const {
    return format::data_offset_for(head_.size()) +
           std::max<std::uint64_t>(tail_.size(), kTailReserve);
  }

  void write(WritableFile& file, const VolumePlan& plan, std::size_t number, std::size_t count) {
    VolumeHeader header;
    header.bundle_id = job_.bundle_id;
    header.number = static_cast<std::uint32_t>(number);
    header.count = static_cast<std::uint32_t>(count);
    header.head_size = head_.size();
    header.head_digest = sha256(head_);
    header.data_offset = format::data_offset_for(head_.size());
    header.data_size = plan.data_size;
    header.ranges = plan.ranges;
    file.write(format::encode_volume_header(header));
    file.write(head_);
    file.write(Bytes(
        static_cast<std::size_t>(header.data_offset - format::kVolumeHeaderSize - head_.size())));
    for (const LeafRange& range : plan.ranges) write_range(file, range, count);
    file.write(tail_);
    file.sync();
  }

 private:
  void write_range(WritableFile& file, const LeafRange& range, std::size_t volume_count) {
    for (std::uint32_t leaf = range.first; leaf < range.first + range.count; ++leaf) {
      cancel_.check();
      const Bytes bytes = unpack::read_verified_leaf(index_, leaves_, leaf);
      file.write(bytes);
      written_ += bytes.size();
      progress_.advance(written_);
      // With several volumes the first range may be the repeated recipes.
      const bool repeated = volume_count > 1 && range.first == 0;
      if (copied_ && !repeated) copied_(leaf);
    }
  }

  const VolumeJob& job_;
  const format::Index& index_;
  const unpack::LeafSource& leaves_;
  const std::function<void(std::uint32_t)>& copied_;
  Progress& progress_;
  const Cancel& cancel_;
  Bytes head_;
  Bytes tail_;
  std::uint64_t written_ = 0;
};

}  // namespace

std::vector<Path> write_volumes(FileSystem& fs, const Path& directory, const VolumeJob& job,
                                const format::Index& index, const unpack::LeafSource& leaves,
                                const std::function<void(std::uint32_t)>& copied,
                                Progress& progress, const Cancel& cancel) {
  fs.create_directories(directory);
  require_empty(fs, directory);
  VolumeRun run(job, index, leaves, copied, progress, cancel);
  if (job.volume_size < run.overhead() + 2 * std::uint64_t{format::kLeafSize}) {
    throw Error(ErrorCode::usage,
                fmt::format("a volume of {} bytes is too small: this bundle needs at least {}",
                            job.volume_size, run.overhead() + 2 * std::uint64_t{format::kLeafSize}),
                "Give a larger --volume-size.");
  }
  const std::vector<VolumePlan> plans = plan_volumes(index, job.volume_size - run.overhead());
  if (plans.size() > format::kMaxVolumes) {
    throw Error(ErrorCode::usage, fmt::format("that would make {} volumes", plans.size()),
                "Give a larger --volume-size.");
  }
  std::uint64_t total = 0;
  for (const VolumePlan& plan : plans) total += plan.data_size;
  progress.phase("writing volumes", total);

  std::vector<Path> unfinished;
  std::vector<Path> paths;
  try {
    for (std::size_t i = 0; i < plans.size(); ++i) {
      paths.push_back(directory / volume_name(job.name, i + 1, plans.size()));
      unfinished.push_back(paths.back());
      unfinished.back() += ".new";
      const auto file = fs.open_writable(unfinished.back());
      file->truncate(0);
      run.write(*file, plans[i], i + 1, plans.size());
    }
  } catch (...) {
    for (const Path& path : unfinished) fs.remove(path);
    throw;
  }
  for (std::size_t i = 0; i < paths.size(); ++i) fs.rename(unfinished[i], paths[i]);
  fs.sync_directory(directory);
  return paths;
}

void write_loose_files(FileSystem& fs, const Path& directory, const format::FileList& head,
                       const format::FileList& tail) {
  for (const format::NamedFile& file : head) {
    if (file.name != "index" && file.name != "documents")
      write_file_atomically(fs, directory / file.name, as_bytes(file.content));
  }
  for (const format::NamedFile& file : tail) {
    write_file_atomically(fs, directory / file.name, as_bytes(file.content));
  }
}

}  // namespace bundle::pack
