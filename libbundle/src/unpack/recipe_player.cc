#include "unpack/recipe_player.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "codec/deflate_encoder.h"
#include "unpack/part_player.h"
#include "unpack/run_reader.h"

namespace bundle::unpack {
namespace {

using format::Group;
using format::Index;
using format::RecipeReader;
using format::Run;
using format::Segment;
using format::SegmentKind;

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
                 const Cancel& cancel, std::uint64_t skip, PartWorkers* workers) {
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
      case SegmentKind::deflate_parts:
        play_parts(reader, segment, runs, bounded, workers);
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
