#include "format/recipe.h"

#include <fmt/format.h>

#include <algorithm>

namespace bundle::format {
namespace {

static_assert(kMaxPartPlain == codec::kMaxPartPlain && kMaxStreamParts == codec::kMaxStreamParts &&
              kMaxStreamFlushes == codec::kMaxStreamFlushes &&
              kMaxVerbatimBytes == codec::kMaxVerbatimBytes);

bool follows(const Run& first, const Run& second) {
  if (first.source != second.source) return false;
  if (first.source == kZeroSource) return true;
  return first.base_blob == second.base_blob && first.offset + first.length == second.offset;
}

}  // namespace

std::uint64_t RunPlaces::expected(const Run& run) const {
  const Place& place = places_[run.source];
  return place.base_blob == run.base_blob ? place.end : 0;
}
void RunPlaces::moved(const Run& run) {
  places_[run.source] = {run.base_blob, run.offset + run.length};
}

RecipeReader::RecipeReader(ByteView bytes, const Index& index, const Digest& blob)
    : in_(bytes, ErrorCode::recipe_invalid, fmt::format("the recipe of blob {}", blob.text())),
      index_(index) {}

bool RecipeReader::next_segment(Segment& segment) {
  if (runs_left_ != 0) throw Error(ErrorCode::internal, "runs of a recipe were skipped");
  if (in_.at_end()) return false;
  const auto kind = in_.le<std::uint8_t>();
  segment = Segment{};
  switch (kind) {
    case static_cast<std::uint8_t>(SegmentKind::literal): {
      const std::uint64_t size = in_.varint();
      if (size == 0 || size > kMaxLiteral) in_.fail("has a literal of a bad size");
      const ByteView bytes = in_.take(size);
      segment.literal.assign(bytes.begin(), bytes.end());
      return true;
    }
    case static_cast<std::uint8_t>(SegmentKind::plain):
      segment.kind = SegmentKind::plain;
      break;
    case static_cast<std::uint8_t>(SegmentKind::deflate):
      segment.kind = SegmentKind::deflate;
      read_encoder(segment);
      break;
    case static_cast<std::uint8_t>(SegmentKind::deflate_parts):
      segment.kind = SegmentKind::deflate_parts;
      read_encoder(segment);
      read_parts(segment);
      break;
    default:
      in_.fail(fmt::format("has a segment of unknown kind {}", kind));
  }
  segment.runs = in_.varint();
  if (segment.runs > in_.remaining()) in_.fail("counts more runs than it has bytes");
  runs_left_ = segment.runs;
  return true;
}

void RecipeReader::read_encoder(Segment& segment) {
  const std::uint64_t family = in_.varint();
  if (family > UINT32_MAX) in_.fail("has a bad encoder family");
  segment.family = static_cast<std::uint32_t>(family);
  const std::uint64_t size = in_.varint();
  if (size > kMaxEncoderParams) in_.fail("has too many encoder parameters");
  const ByteView params = in_.take(size);
  segment.params.assign(params.begin(), params.end());
}

void RecipeReader::read_parts(Segment& segment) {
  const std::uint64_t count = in_.varint();
  if (count == 0 || count > kMaxStreamParts) in_.fail("has a bad number of stream parts");
  std::uint64_t flushes = 0;
  std::uint64_t bits = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    segment.parts.push_back(read_part(flushes));
    bits += segment.parts.back().bits;
  }
  if (bits % 8 != 0) in_.fail("has a stream that does not end on a byte boundary");
  if (verbatim_bytes(segment.parts) > kMaxVerbatimBytes) in_.fail("keeps too much of a stream");
}

codec::StreamPart RecipeReader::read_part(std::uint64_t& flushes) {
  codec::StreamPart part;
  part.plain = in_.varint();
  const std::uint64_t head = in_.varint();
  part.bits = head >> 2;
  part.verbatim = (head & 1) != 0;
  if (part.plain > kMaxPartPlain) in_.fail("has a stream part that is too long");
  if ((head & 2) != 0) {
    const std::uint64_t count = in_.varint();
    flushes += count;
    if (count == 0 || flushes > kMaxStreamFlushes) in_.fail("has a bad number of flushes");
    std::uint64_t at = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t flush = in_.varint();
      if (flush >> 1 > part.plain - at) in_.fail("has a flush behind the end of its part");
      at += flush >> 1;
      part.flushes.push_back({at, static_cast<codec::DeflateEncoder::Flush>(flush & 1)});
    }
  }
  if (part.bits == 0 || part.bits > codec::max_part_bits(part))
    in_.fail("has a stream part with a bad number of bits");
  return part;
}

std::uint64_t verbatim_bytes(std::span<const codec::StreamPart> parts) {
  std::uint64_t bytes = 0;
  for (const codec::StreamPart& part : parts) {
    if (part.verbatim) bytes += (part.bits + 7) / 8;
  }
  return bytes;
}

Run RecipeReader::next_run() {
  if (runs_left_ == 0) throw Error(ErrorCode::internal, "a recipe segment has no more runs");
  --runs_left_;
  const std::uint64_t head = in_.varint();
  Run run;
  run.length = head >> 4;
  run.source = static_cast<std::uint8_t>(head & 15);
  if (run.length == 0) in_.fail("has an empty run");
  if (run.source == kZeroSource) {
    if (run.length > kMaxBlobBytes) in_.fail("has a run of zeros that is too long");
    return run;
  }
  if (is_base_source(run.source)) {
    const std::uint64_t number = in_.varint();
    if (number >= index_.base_blobs.size())
      in_.fail("has a run from a base blob that is not listed");
    run.base_blob = static_cast<std::uint32_t>(number);
  } else if (run.source == kRecipeStream || run.source >= kStreamCount) {
    in_.fail(fmt::format("has a run from unknown source {}", run.source));
  }
  run.offset = places_.expected(run) + static_cast<std::uint64_t>(in_.zigzag());
  check_bounds(run);
  places_.moved(run);
  return run;
}

void RecipeReader::check_bounds(const Run& run) const {
  std::uint64_t end = kMaxBlobBytes;  // of inflated base bytes: known only when they are read
  if (run.source == kBaseSource) {
    end = index_.base_blobs[run.base_blob].size;
  } else if (!is_base_source(run.source)) {
    end = index_.stream_size(run.source);
  }
  if (run.offset > end || run.length > end - run.offset)
    in_.fail("has a run past the end of its source");
}

void RecipeWriter::literal(ByteView bytes) {
  while (!bytes.empty()) {
    const ByteView part = bytes.first(std::min<std::size_t>(bytes.size(), kMaxLiteral));
    out_.le(static_cast<std::uint8_t>(SegmentKind::literal));
    out_.varint(part.size());
    out_.raw(part);
    bytes = bytes.subspan(part.size());
  }
}

void RecipeWriter::begin_plain() {
  head_ = {static_cast<std::uint8_t>(SegmentKind::plain)};
}

void RecipeWriter::begin_deflate(const codec::EncoderSpec& spec,
                                 std::span<const codec::StreamPart> parts) {
  ByteWriter head;
  head.le(
      static_cast<std::uint8_t>(parts.empty() ? SegmentKind::deflate : SegmentKind::deflate_parts));
  head.varint(spec.family);
  head.varint(spec.params.size());
  head.raw(spec.params);
  if (!parts.empty()) head.varint(parts.size());
  for (const codec::StreamPart& part : parts) {
    head.varint(part.plain);
    head.varint(part.bits << 2 | (part.flushes.empty() ? 0U : 2U) | (part.verbatim ? 1U : 0U));
    if (!part.flushes.empty()) head.varint(part.flushes.size());
    std::uint64_t at = 0;
    for (const codec::FlushAt& flush : part.flushes) {
      head.varint((flush.plain - at) << 1 | static_cast<std::uint64_t>(flush.kind));
      at = flush.plain;
    }
  }
  head_ = head.take();
}

void RecipeWriter::add_run(const Run& run) {
  if (run.length == 0) return;
  if (pending_.length != 0 && follows(pending_, run)) {
    pending_.length += run.length;
    return;
  }
  flush_run();
  pending_ = run;
}

void RecipeWriter::flush_run() {
  if (pending_.length == 0) return;
  runs_.varint(pending_.length << 4 | pending_.source);
  if (is_base_source(pending_.source)) runs_.varint(pending_.base_blob);
  if (pending_.source != kZeroSource) {
    runs_.zigzag(static_cast<std::int64_t>(pending_.offset - places_.expected(pending_)));
    places_.moved(pending_);
  }
  ++run_count_;
  pending_ = Run{};
}

void RecipeWriter::end_segment() {
  flush_run();
  out_.raw(head_);
  out_.varint(run_count_);
  out_.raw(runs_.take());
  runs_ = ByteWriter{};
  run_count_ = 0;
}

Bytes RecipeWriter::take() {
  return out_.take();
}

}  // namespace bundle::format
