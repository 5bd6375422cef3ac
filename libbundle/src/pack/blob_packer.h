// Takes blobs apart into objects, stores each object once, and writes the recipes.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>

#include "attest/layer_scanner.h"
#include "attest/release_attestor.h"
#include "bundle/progress.h"
#include "codec/deflate_encoder.h"
#include "format/index.h"
#include "format/recipe.h"
#include "pack/delta_base.h"
#include "pack/gzip_analysis.h"
#include "pack/object_splitter.h"
#include "pack/pack_writer.h"
#include "spec/resolve.h"

namespace bundle::pack {

// What became of the blobs, for the report of `make`.
struct PackStats {
  std::uint64_t blob_bytes = 0;
  std::uint64_t gzip_bytes = 0;      // blobs that are gzip, and grains of disks
  std::uint64_t replayed_bytes = 0;  // of those, stored inflated
  std::uint64_t plain_bytes = 0;     // after inflating
  std::uint64_t unique_bytes = 0;    // after deduplication
  std::uint64_t base_bytes = 0;      // of a delta: plain bytes that are copied from base blobs
};

// A blob after its first reading.
struct StudiedBlob {
  GzipAnalysis analysis;
  // Has seen what a gzip blob inflates to; null when nobody wants to know the packages in it.
  std::unique_ptr<attest::BlobScanner> scanner;
};

// A blob is read once; a gzip blob twice: the first time its encoder is found and proven for every
// member (study), the second time its content is stored (add). Digest and size are checked at the
// last reading.
//
// Objects are tar members' bodies and, outside of tar, everything, cut every kObjectBlock bytes;
// equal objects are stored once, or not at all where the base of a delta has them. Tar headers and
// padding go to a stream of their own. Memory: one block, the dedupe table (about 80 bytes an
// object), the pack writer's.
class BlobPacker {
 public:
  // Smaller objects cost more in recipes and in the table than they save.
  static constexpr std::size_t kMinDedupe = 256;
  // An importer keeps some groups decoded. An object that lies in none of the groups used lately is
  // stored again unless it is at least this large: to fetch a whole group for a small file costs
  // the site more time than the file costs the bundle.
  static constexpr std::size_t kMinFarDedupe = 32 << 10;
  static constexpr std::size_t kNearGroups = 2;

  // `base` may be null: a full bundle. `attestor`, when there is one, is told what is found in the
  // blobs while they are read.
  BlobPacker(PackWriter& packs, format::Index& index, DeltaBase* base = nullptr,
             attest::ReleaseAttestor* attestor = nullptr)
      : packs_(packs), index_(index), base_(base), attestor_(attestor) {}

  // As PackProfile::import_budget.
  void set_import_budget(unsigned budget) { import_budget_ = budget; }

  // From any thread. Throws what reading throws.
  StudiedBlob study(const spec::BlobInput& blob, const Cancel& cancel) const;
  // Throws Error{blob_mismatch} when the input is not what it was resolved to.
  void add(const spec::BlobInput& blob, StudiedBlob studied, const Cancel& cancel);
  // A blob that the bundle leaves out is only read for the attestor. Throws as add().
  void look_into(const spec::BlobInput& blob, const Cancel& cancel);
  // The features that the recipes and the finished groups need, into the index.
  void finish();

  const PackStats& stats() const { return stats_; }

  struct Place {
    Stream stream;
    std::uint64_t offset;
  };
  // Used by the splitters.
  format::Run store_object(ByteView bytes, const FilePlace& file);
  format::Run store_header(ByteView bytes, const std::string& path);
  format::Run store_corrections(ByteView bytes);
  format::Run store_opaque(ByteView bytes);

 private:
  void pack(const spec::BlobInput& blob, const GzipAnalysis& analysis, const Cancel& cancel,
            Sink* plain);
  void pack_other(const spec::BlobInput& blob, format::RecipeWriter& recipe, const Cancel& cancel,
                  Sink* plain);
  format::Run store_unique(Stream stream, ByteView bytes,
                           const std::vector<format::Run>& references = {});
  std::optional<format::Run> copy_from_base(ByteView bytes);
  std::vector<format::Run> references_for(ByteView bytes, const FilePlace& file);
  // Whether the group of `place` is among those used lately; notes its use if `size` is worth it.
  bool worth_fetching(const Place& place, std::size_t size);
  void note_use(const Place& place);
  void write_recipe(const spec::BlobInput& blob, format::RecipeWriter& recipe);

  PackWriter& packs_;
  format::Index& index_;
  DeltaBase* base_;
  attest::ReleaseAttestor* attestor_;
  std::unordered_map<Digest, Place> objects_;
  std::deque<std::pair<Stream, std::uint64_t>> near_;  // groups used lately, last first
  std::set<format::Feature> features_;
  PackStats stats_;
  unsigned import_budget_ = 0;
};

}  // namespace bundle::pack
