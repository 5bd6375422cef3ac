#include "unpack/recipe_player.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "bundle/error.h"
#include "codec/deflate_encoder.h"

namespace bundle::unpack {
namespace {

using format::Group;
using format::Index;
using format::RecipeReader;
using format::Run;
using format::Segment;
using format::SegmentKind;

constexpr std::array<std::uint8_t, 64 * 1024> kZeros{};

// Enforces the declared size and drops what the caller has already.
class BoundedSink final : public Sink {
 public:
  BoundedSink(Sink& out, const format::BlobEntry& blob, std::uint64_t skip)
      : out_(out), blob_(blob), skip_(skip) {}

  void write(ByteView bytes) override {
    if (bytes.size() > blob_.size - produced_) {
      throw Error(ErrorCode::bomb,
                  fmt::format("the recipe of blob {} yields more than its {} bytes",
                              blob_.digest.text(), blob_.size),
                  "The bundle was made wrong: ask the vendor for a new one.");
    }
    const std::uint64_t drop =
        std::min<std::uint64_t>(bytes.size(), skip_ > produced_ ? skip_ - produced_ : 0);
    produced_ += bytes.size();
    bytes = bytes.subspan(static_cast<std::size_t>(drop));
    if (!bytes.empty()) out_.write(bytes);
  }
  // Counts bytes that the caller has, without making them. Returns how many of `length`.
  std::uint64_t pass_over(std::uint64_t length) {
    const std::uint64_t count = std::min(length, skip_ > produced_ ? skip_ - produced_ : 0);
    produced_ += count;
    return count;
  }
  std::uint64_t produced() const { return produced_; }

 private:
  Sink& out_;
  const format::BlobEntry& blob_;
  std::uint64_t skip_;
  std::uint64_t produced_ = 0;
};

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

// Reads runs; while one group is used, the next one that the recipe needs is decoded.
class RunReader {
 public:
  RunReader(GroupReader& groups, ByteView recipe, const Digest& blob, const Cancel& cancel)
      : groups_(groups), cancel_(cancel) {
    walk_loads(recipe, groups.index(), blob,
               [this](std::uint32_t group) { loads_.push_back(group); });
  }

  void copy(const Run& run, Sink& out) {
    if (run.source == format::kZeroSource) {
      copy_zeros(run.length, out);
    } else if (format::is_base_source(run.source)) {
      copy_base(run, out);
    } else {
      copy_stream(run, out);
    }
  }

 private:
  static void copy_zeros(std::uint64_t length, Sink& out) {
    while (length > 0) {
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(length, kZeros.size()));
      out.write(ByteView(kZeros).first(part));
      length -= part;
    }
  }

  void copy_base(const Run& run, Sink& out) {
    cancel_.check();
    if (!base_) base_.emplace(groups_.base());
    base_->copy(run, out);
  }

  void copy_stream(const Run& run, Sink& out) {
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

  const Group& load(std::uint8_t stream, std::uint64_t offset) {
    if (const Group* group = current_[stream]; group != nullptr && offset >= group->plain_offset &&
                                               offset - group->plain_offset < group->plain_size) {
      return *group;
    }
    cancel_.check();
    const Group* group = groups_.index().find_group(stream, offset);
    const std::uint32_t number = groups_.index().group_number(*group);
    held_[stream] = nullptr;
    held_[stream] = groups_.get(number);
    current_[stream] = group;
    read_ahead(number);
    return *group;
  }

  // After a start in the middle of a blob the loads before it are passed over.
  void read_ahead(std::uint32_t loaded) {
    while (next_load_ < loads_.size() && loads_[next_load_] != loaded) ++next_load_;
    ++next_load_;
    if (next_load_ < loads_.size()) groups_.read_ahead(loads_[next_load_]);
  }

  GroupReader& groups_;
  const Cancel& cancel_;
  std::optional<BaseCursors> base_;
  std::vector<std::uint32_t> loads_;  // every group change of the recipe, in order
  std::size_t next_load_ = 0;
  std::array<const Group*, format::kStreamCount> current_{};
  std::array<GroupReader::Plain, format::kStreamCount> held_{};
};

void play_plain(RecipeReader& recipe, const Segment& segment, RunReader& runs, BoundedSink& out) {
  for (std::uint64_t i = 0; i < segment.runs; ++i) {
    Run run = recipe.next_run();
    const std::uint64_t passed = out.pass_over(run.length);
    run.length -= passed;
    if (run.source != format::kZeroSource) run.offset += passed;
    if (run.length > 0) runs.copy(run, out);
  }
}

void play_deflate(RecipeReader& recipe, const Segment& segment, RunReader& runs, BoundedSink& out) {
  const auto encoder = codec::make_encoder({segment.family, segment.params}, out);
  for (std::uint64_t i = 0; i < segment.runs; ++i) runs.copy(recipe.next_run(), *encoder);
  encoder->finish();
}

}  // namespace

Bytes read_recipe(GroupReader& groups, const format::IndexedBlob& blob) {
  return read_recipe_stream(groups, blob.recipe_offset, blob.recipe_size);
}

void play_recipe(GroupReader& groups, ByteView recipe, const format::BlobEntry& blob, Sink& out,
                 const Cancel& cancel, std::uint64_t skip) {
  RecipeReader reader(recipe, groups.index(), blob.digest);
  RunReader runs(groups, recipe, blob.digest, cancel);
  BoundedSink bounded(out, blob, skip);
  Segment segment;
  while (reader.next_segment(segment)) {
    switch (segment.kind) {
      case SegmentKind::literal:
        bounded.write(segment.literal);
        break;
      case SegmentKind::plain:
        play_plain(reader, segment, runs, bounded);
        break;
      case SegmentKind::deflate:
        play_deflate(reader, segment, runs, bounded);
        break;
    }
  }
  if (bounded.produced() != blob.size) {
    throw Error(ErrorCode::recipe_invalid,
                fmt::format("the recipe of blob {} yields {} of {} bytes", blob.digest.text(),
                            bounded.produced(), blob.size),
                "The bundle was made wrong: ask the vendor for a new one.");
  }
}

bool is_seekable(ByteView recipe, const format::Index& index, const Digest& blob) {
  RecipeReader reader(recipe, index, blob);
  Segment segment;
  while (reader.next_segment(segment)) {
    if (segment.kind == SegmentKind::deflate) return false;
    for (std::uint64_t i = 0; i < segment.runs; ++i) reader.next_run();
  }
  return true;
}

void visit_runs(ByteView recipe, const format::Index& index, const Digest& blob,
                const std::function<void(const Run&)>& visit) {
  RecipeReader reader(recipe, index, blob);
  Segment segment;
  while (reader.next_segment(segment)) {
    for (std::uint64_t i = 0; i < segment.runs; ++i) visit(reader.next_run());
  }
}

void visit_groups(ByteView recipe, const format::Index& index, const Digest& blob,
                  const std::function<void(std::uint32_t)>& visit) {
  visit_runs(recipe, index, blob, [&](const Run& run) {
    if (run.source >= format::kStreamCount) return;
    const std::uint64_t end = run.offset + run.length;
    for (std::uint64_t offset = run.offset; offset < end;) {
      const Group& group = *index.find_group(run.source, offset);
      visit(index.group_number(group));
      offset = group.plain_offset + group.plain_size;
    }
  });
}

}  // namespace bundle::unpack
