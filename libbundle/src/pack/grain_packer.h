// Disks with compressed grains (VMDK, OVA): the grains are stored inflated.
#pragma once

#include <optional>
#include <vector>

#include "codec/deflate_encoder.h"
#include "codec/grain_scanner.h"
#include "pack/content_storer.h"

namespace bundle::pack {

// Writes the recipe of any blob that is not gzip. A grain that a zlib encoder gives back bit for
// bit becomes a deflate segment of one part, which says how long the grain is: so a delta can copy
// it from the base as it is. Other bytes are plain content. Memory: a grain, and the splitter's.
class GrainPacker final : public codec::GrainVisitor {
 public:
  // Of one blob: what a recipe has room for.
  static constexpr std::size_t kMaxGrains = 400'000;

  // Not owned. `base` may be null. `import_budget` as PackProfile::import_budget.
  GrainPacker(BlobPacker& packer, format::RecipeWriter& recipe, DeltaBase* base,
              unsigned import_budget);

  void on_other(ByteView bytes) override;
  void on_grain(ByteView deflate, ByteView plain) override;
  void finish();

  std::size_t grains() const { return grains_; }  // that are stored inflated
  std::uint64_t replayed_bytes() const { return replayed_bytes_; }

 private:
  std::optional<codec::EncoderSpec> encoder_of(ByteView deflate, ByteView plain);
  void end_other();
  void write_content(ByteView bytes);

  BlobPacker& packer_;
  format::RecipeWriter& recipe_;
  DeltaBase* base_;
  bool enabled_;
  std::optional<Content> content_;
  Bytes between_;  // what follows a grain, while it is short
  std::vector<codec::EncoderSpec> found_;
  std::size_t failures_ = 0;
  std::size_t grains_ = 0;
  std::uint64_t replayed_bytes_ = 0;
};

}  // namespace bundle::pack
