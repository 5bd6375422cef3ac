#include "unpack/run_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "unpack/recipe_player.h"

namespace bundle::unpack {
namespace {

using format::Group;
using format::Index;
using format::Run;

constexpr std::array<std::uint8_t, 64 * 1024> kZeros{};

void copy_zeros(std::uint64_t length, Sink& out) {
  while (length > 0) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(length, kZeros.size()));
    out.write(ByteView(kZeros).first(part));
    length -= part;
  }
}

// Calls load(group) whenever a reader that keeps one group per stream has to change it. The runs of
// a recipe walk each stream mostly forward, so this is far less often than there are runs.
void walk_loads(ByteView recipe, const Index& index, const Digest& blob,
                const std::function<void(std::uint32_t)>& load) {
  std::array<const Group*, format::kStreamCount> current{};
  visit_groups(recipe, index, blob, [&](std::uint32_t number) {
    const Group& group = index.groups[number];
    if (current[group.stream] == &group) return;
    current[group.stream] = &group;
    load(number);
  });
}

}  // namespace

void BoundedSink::write(ByteView bytes) {
  if (bytes.size() > blob_.size - produced_) {
    throw Error(ErrorCode::bomb,
                fmt::format("the recipe of blob {} yields more than its {} bytes",
                            blob_.digest.text(), blob_.size),
                std::string(format::kMadeWrong));
  }
  const std::uint64_t drop = std::min<std::uint64_t>(bytes.size(), passable());
  produced_ += bytes.size();
  bytes = bytes.subspan(static_cast<std::size_t>(drop));
  if (!bytes.empty()) out_.write(bytes);
}

std::uint64_t BoundedSink::pass_over(std::uint64_t length) {
  const std::uint64_t count = std::min(length, passable());
  produced_ += count;
  return count;
}

RunReader::RunReader(GroupReader& groups, ByteView recipe, const Digest& blob, const Cancel& cancel)
    : groups_(groups), cancel_(cancel) {
  walk_loads(recipe, groups.index(), blob,
             [this](std::uint32_t group) { loads_.push_back(group); });
}

void RunReader::copy(const Run& run, Sink& out) {
  if (run.source == format::kZeroSource) {
    copy_zeros(run.length, out);
  } else if (format::is_base_source(run.source)) {
    copy_base(run, out);
  } else {
    copy_stream(run, out);
  }
}

void RunReader::copy_base(const Run& run, Sink& out) {
  cancel_.check();
  if (!base_) base_.emplace(groups_.base());
  base_->copy(run, out);
}

void RunReader::copy_stream(const Run& run, Sink& out) {
  std::uint64_t offset = run.offset;
  std::uint64_t left = run.length;
  while (left > 0) {
    const Group& group = load(run.source, offset);
    const ByteView plain = *held_[run.source];
    const auto within = static_cast<std::size_t>(offset - group.plain_offset);
    const auto part =
        static_cast<std::size_t>(std::min<std::uint64_t>(left, plain.size() - within));
    out.write(plain.subspan(within, part));
    offset += part;
    left -= part;
  }
}

const Group& RunReader::load(std::uint8_t stream, std::uint64_t offset) {
  if (const Group* group = current_[stream]; group != nullptr && offset >= group->plain_offset &&
                                             offset - group->plain_offset < group->plain_size) {
    return *group;
  }
  cancel_.check();
  const Group* group = groups_.index().find_group(stream, offset);
  const std::uint32_t number = groups_.index().group_number(*group);
  give_back(stream, *group);
  held_[stream] = groups_.get(number);
  current_[stream] = group;
  read_ahead(number);
  return *group;
}

// The stream's last group; before a large one every large one (GroupReader says why).
void RunReader::give_back(std::uint8_t stream, const Group& next) {
  if (GroupReader::is_large(next) && before_large_group_) before_large_group_();
  for (std::size_t i = 0; i < held_.size(); ++i) {
    const bool in_the_way = current_[i] != nullptr && GroupReader::is_large(next) &&
                            GroupReader::is_large(*current_[i]);
    if (i != stream && !in_the_way) continue;
    held_[i] = nullptr;
    current_[i] = nullptr;
  }
}

// After a start in the middle of a blob the loads before it are passed over.
void RunReader::read_ahead(std::uint32_t loaded) {
  while (next_load_ < loads_.size() && loads_[next_load_] != loaded) ++next_load_;
  ++next_load_;
  if (next_load_ < loads_.size()) groups_.read_ahead(loads_[next_load_]);
}

Run SegmentBytes::take(std::uint64_t most) {
  if (run_.length == 0) {
    if (left_ == 0) {
      throw Error(ErrorCode::recipe_invalid, "a deflate stream of a recipe lacks plain bytes",
                  std::string(format::kMadeWrong));
    }
    --left_;
    run_ = recipe_.next_run();
  }
  Run part = run_;
  part.length = std::min(run_.length, most);
  run_.length -= part.length;
  if (run_.source != format::kZeroSource) run_.offset += part.length;
  return part;
}

void SegmentBytes::read(std::uint64_t count, Sink& out) {
  while (count > 0) {
    const Run part = take(count);
    runs_.copy(part, out);
    count -= part.length;
  }
}

void SegmentBytes::skip(std::uint64_t count) {
  while (count > 0) count -= take(count).length;
}

}  // namespace bundle::unpack
