// What the players of recipes share: plain bytes of runs, and the bounds of a blob.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "bundle/progress.h"
#include "format/blob_list.h"
#include "format/recipe.h"
#include "io/stream.h"
#include "unpack/group_reader.h"

namespace bundle::unpack {

// Enforces the declared size and drops what the caller has already. Throws Error{bomb}.
class BoundedSink final : public Sink {
 public:
  BoundedSink(Sink& out, const format::BlobEntry& blob, std::uint64_t skip)
      : out_(out), blob_(blob), skip_(skip) {}

  void write(ByteView bytes) override;
  // How many of the next bytes the caller has.
  std::uint64_t passable() const { return skip_ > produced_ ? skip_ - produced_ : 0; }
  // Counts bytes that the caller has, without making them. Returns how many of `length`.
  std::uint64_t pass_over(std::uint64_t length);
  std::uint64_t produced() const { return produced_; }

 private:
  Sink& out_;
  const format::BlobEntry& blob_;
  std::uint64_t skip_;
  std::uint64_t produced_ = 0;
};

// Reads runs; while one group is used, the next one that the recipe needs is decoded.
class RunReader {
 public:
  RunReader(GroupReader& groups, ByteView recipe, const Digest& blob, const Cancel& cancel);

  void copy(const format::Run& run, Sink& out);
  // Called before a large group is asked for, which may mean to wait for other readers: who has
  // what those wait for gives it back. May be empty.
  void before_large_group(std::function<void()> call) { before_large_group_ = std::move(call); }

 private:
  void copy_base(const format::Run& run, Sink& out);
  void copy_stream(const format::Run& run, Sink& out);
  const format::Group& load(std::uint8_t stream, std::uint64_t offset);
  void give_back(std::uint8_t stream, const format::Group& next);
  void read_ahead(std::uint32_t loaded);

  std::function<void()> before_large_group_;
  GroupReader& groups_;
  const Cancel& cancel_;
  std::optional<BaseCursors> base_;
  std::vector<std::uint32_t> loads_;  // every group change of the recipe, in order
  std::size_t next_load_ = 0;
  std::array<const format::Group*, format::kStreamCount> current_{};
  std::array<GroupReader::Plain, format::kStreamCount> held_{};
};

// The runs of one segment as one stretch of bytes.
class SegmentBytes {
 public:
  SegmentBytes(format::RecipeReader& recipe, const format::Segment& segment, RunReader& runs)
      : recipe_(recipe), left_(segment.runs), runs_(runs) {}

  // Both throw Error{recipe_invalid} when there are fewer.
  void read(std::uint64_t count, Sink& out);
  void skip(std::uint64_t count);
  bool at_end() const { return left_ == 0 && run_.length == 0; }

 private:
  format::Run take(std::uint64_t most);

  format::RecipeReader& recipe_;
  std::uint64_t left_;
  RunReader& runs_;
  format::Run run_;
};

}  // namespace bundle::unpack
