// Recipes: how one blob is put together. docs/bundle-format.md section 5.
#pragma once

#include <array>
#include <string>

#include "base/bytes.h"
#include "format/byte_reader.h"
#include "format/index.h"

namespace bundle::format {

enum class SegmentKind : std::uint8_t { literal = 0, plain = 1, deflate = 2 };

inline constexpr std::uint8_t kZeroSource = 12;
inline constexpr std::uint8_t kBaseSource = 13;

// Some plain bytes: of a stream, zero bytes, or of a blob of the base.
struct Run {
  std::uint8_t source = 0;    // a stream number, kZeroSource or kBaseSource
  std::uint32_t base_blob = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct Segment {
  SegmentKind kind = SegmentKind::literal;
  Bytes literal;             // of a literal
  std::uint32_t family = 0;  // of a deflate
  Bytes params;              // of a deflate
  std::uint64_t runs = 0;    // how many next_run() calls follow
};

// Walks a recipe without expanding it: memory does not depend on the number of runs.
// All calls throw Error{recipe_invalid} naming the blob.
class RecipeReader {
 public:
  // Neither owned. `bytes` are verified already.
  RecipeReader(ByteView bytes, const Index& index, const Digest& blob);

  // False at the end. All runs of the segment before must have been read.
  bool next_segment(Segment& segment);
  Run next_run();

 private:
  ByteReader in_;
  const Index& index_;
  std::uint64_t runs_left_ = 0;
  std::array<std::uint64_t, kStreamCount> expected_{};
};

// Writes a recipe segment by segment. Neighbouring runs are joined.
class RecipeWriter {
 public:
  void literal(ByteView bytes);  // any size; cut into several segments
  // Runs added between begin_* and end_segment() belong to that segment.
  void begin_plain();
  void begin_deflate(std::uint32_t family, ByteView params);
  void add_run(const Run& run);
  void end_segment();

  Bytes take();

 private:
  void flush_run();

  ByteWriter out_;
  ByteWriter runs_;
  Bytes head_;  // of the segment under way
  std::uint64_t run_count_ = 0;
  Run pending_;
  std::array<std::uint64_t, kStreamCount> expected_{};
};

}  // namespace bundle::format
