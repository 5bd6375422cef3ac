// Recipes: how one blob is put together. docs/bundle-format.md section 5.
#pragma once

#include <array>
#include <string>

#include "base/bytes.h"
#include "codec/stream_parts.h"
#include "format/byte_reader.h"
#include "format/index.h"

namespace bundle::format {

enum class SegmentKind : std::uint8_t { literal = 0, plain = 1, deflate = 2, deflate_parts = 3 };

inline constexpr std::uint8_t kZeroSource = 12;
inline constexpr std::uint8_t kBaseSource = 13;       // a base blob's bytes
inline constexpr std::uint8_t kBasePlainSource = 14;  // what a gzip base blob inflates to

constexpr bool is_base_source(std::uint8_t source) {
  return source == kBaseSource || source == kBasePlainSource;
}

// Some plain bytes: of a stream, zero bytes, or of a blob of the base.
struct Run {
  std::uint8_t source = 0;      // a stream number, kZeroSource or a base source
  std::uint32_t base_blob = 0;  // of a base source: its number in bases.list
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct Segment {
  SegmentKind kind = SegmentKind::literal;
  Bytes literal;             // of a literal
  std::uint32_t family = 0;  // of a deflate
  Bytes params;              // of a deflate
  // Of a deflate in parts: at least one. The runs are the bytes of the verbatim ones, then the
  // plain bytes.
  std::vector<codec::StreamPart> parts;
  std::uint64_t runs = 0;  // how many next_run() calls follow
};

constexpr bool is_deflate(SegmentKind kind) {
  return kind == SegmentKind::deflate || kind == SegmentKind::deflate_parts;
}
// Of all verbatim parts together, each rounded up to bytes.
std::uint64_t verbatim_bytes(std::span<const codec::StreamPart> parts);

// Where runs are expected to go on: what their offsets are written relative to.
class RunPlaces {
 public:
  std::uint64_t expected(const Run& run) const;
  void moved(const Run& run);

 private:
  struct Place {
    std::uint32_t base_blob = 0;
    std::uint64_t end = 0;
  };
  std::array<Place, 16> places_{};  // by source
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
  void check_bounds(const Run& run) const;
  void read_encoder(Segment& segment);
  void read_parts(Segment& segment);
  codec::StreamPart read_part(std::uint64_t& flushes);

  ByteReader in_;
  const Index& index_;
  std::uint64_t runs_left_ = 0;
  RunPlaces places_;
};

// Writes a recipe segment by segment. Neighbouring runs are joined.
class RecipeWriter {
 public:
  void literal(ByteView bytes);  // any size; cut into several segments
  // Runs added between begin_* and end_segment() belong to that segment.
  void begin_plain();
  // In parts unless there are none.
  void begin_deflate(const codec::EncoderSpec& spec, std::span<const codec::StreamPart> parts = {});
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
  RunPlaces places_;
};

}  // namespace bundle::format
