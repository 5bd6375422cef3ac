// The index, and a recipe over it. The input is an index followed by a recipe; both have exactly
// one encoding, so what decodes must encode to the same bytes.
#include <cstddef>

#include "bundle/error.h"
#include "format/index.h"
#include "format/recipe.h"

using namespace bundle;

namespace {

// An index with some streams, for recipes to refer to.
const format::Index& sample_index() {
  static const format::Index index = [] {
    format::Index made;
    for (std::uint8_t stream = 0; stream < 4; ++stream) {
      made.groups.push_back(
          {.stream = stream, .window_log = 20, .plain_size = 1 << 20, .packed_size = 1000});
    }
    made.leaf_hashes.resize(4);
    made.base_blobs = {{sha256({}), 1 << 20}, {Digest(), 1000}};
    made.derive();
    return made;
  }();
  return index;
}

void walk(ByteView bytes) {
  format::RecipeReader reader(bytes, sample_index(), Digest());
  format::Segment segment;
  while (reader.next_segment(segment)) {
    for (std::uint64_t i = 0; i < segment.runs; ++i) {
      const format::Run run = reader.next_run();
      if (run.source < format::kStreamCount &&
          run.offset + run.length > sample_index().stream_size(run.source)) {
        __builtin_trap();
      }
      if (format::is_base_source(run.source) && run.base_blob >= sample_index().base_blobs.size())
        __builtin_trap();
      if (run.source == format::kBaseSource &&
          run.offset + run.length > sample_index().base_blobs[run.base_blob].size) {
        __builtin_trap();
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  try {
    const format::Index index = format::decode_index(bytes);
    if (format::encode_index(index) != Bytes(bytes.begin(), bytes.end())) __builtin_trap();
    for (std::uint32_t leaf = 0; leaf < index.leaf_hashes.size(); ++leaf) index.leaf_place(leaf);
  } catch (const Error&) {
  }
  try {
    walk(bytes);
  } catch (const Error&) {
  }
  return 0;
}
