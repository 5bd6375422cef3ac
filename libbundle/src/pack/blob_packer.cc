#include "pack/blob_packer.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "codec/gzip_parser.h"
#include "codec/zstd.h"
#include "pack/content_storer.h"
#include "pack/grain_packer.h"
#include "pack/gzip_analysis.h"
#include "pack/object_splitter.h"

namespace bundle::pack {
namespace {

using format::RecipeWriter;
using format::Run;

constexpr std::size_t kReadBuffer = 256 << 10;
// A block that zstd at its fastest cannot shrink below this share is stored as it is.
constexpr double kOpaqueRatio = 0.98;
constexpr std::size_t kOpaqueProbe = 16 << 10;

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

// Looks at the middle of a block: file formats keep compressible headers at the front.
bool is_opaque(ByteView block) {
  if (block.size() < 2 * kOpaqueProbe) return false;
  thread_local codec::ZstdCompressor probe({1, 15, false});
  const ByteView sample = block.subspan(block.size() / 2, kOpaqueProbe);
  return static_cast<double>(probe.compress(sample).size()) >
         kOpaqueRatio * static_cast<double>(sample.size());
}

// Reads a blob to its end, checks size and digest on the way.
template <typename Consume>
void read_checked(const spec::BlobInput& blob, const Cancel& cancel, Consume consume) {
  const auto source = blob.open();
  Sha256 hash;
  Bytes buffer(kReadBuffer);
  std::uint64_t total = 0;
  while (const std::size_t count = source->read(buffer)) {
    cancel.check();
    const ByteView part = ByteView(buffer).first(count);
    hash.write(part);
    total += count;
    consume(part);
  }
  const Digest digest = hash.finish();
  if (total != blob.size || digest != blob.digest) {
    throw Error(
        ErrorCode::blob_mismatch,
        fmt::format("{}: {} has {} bytes with digest {}, but {} with {} bytes was expected",
                    blob.origin, blob.media_type, total, digest.text(), blob.digest.text(),
                    blob.size),
        "The source changed while it was read, or is damaged: check it and run make again.");
  }
}

// What a reader must know to replay the encoder.
format::Feature feature_of(const codec::EncoderSpec& spec) {
  switch (spec.family) {
    case codec::kGoFamily:
      return format::Feature::deflate_go;
    case codec::kKlauspostFamily:
    case codec::kPgzipFamily:
      return codec::is_first_klauspost(spec) ? format::Feature::deflate_klauspost
                                             : format::Feature::deflate_klauspost_more;
    case codec::kPigzFamily:
      return format::Feature::deflate_pigz;
    case codec::kTokenFamily:
      return format::Feature::deflate_tokens;
    default:
      return format::Feature::deflate_zlib;
  }
}

// Second reading of a gzip blob: members whose encoder is known are stored inflated, the others as
// they are.
class GzipPacker final : public codec::GzipVisitor {
 public:
  GzipPacker(BlobPacker& packer, const GzipAnalysis& analysis, RecipeWriter& recipe)
      : packer_(packer), analysis_(analysis), recipe_(recipe), opaque_(packer, recipe) {}

  void on_header(ByteView header) override {
    if (!replayed()) return opaque_.write(header);
    end_opaque();
    recipe_.literal(header);
    const auto parts = analysis_.parts.find(member_);
    recipe_.begin_deflate(*analysis_.members[member_], parts != analysis_.parts.end()
                                                           ? parts->second
                                                           : std::vector<codec::StreamPart>());
    if (const auto found = analysis_.corrections.find(member_);
        found != analysis_.corrections.end()) {
      recipe_.add_run(packer_.store_corrections(found->second));
    }
    content_.emplace(packer_, recipe_);
  }
  void on_deflate(ByteView compressed) override {
    if (!replayed()) opaque_.write(compressed);
  }
  void on_plain(ByteView plain) override {
    if (replayed()) content_->write(plain);
  }
  void on_trailer(ByteView trailer) override {
    if (replayed()) {
      content_->finish();
      content_.reset();
      recipe_.end_segment();
      recipe_.literal(trailer);
    } else {
      opaque_.write(trailer);
    }
    ++member_;
  }
  void on_rest(ByteView bytes) override { opaque_.write(bytes); }
  void finish() { end_opaque(); }

 private:
  bool replayed() const {
    return member_ < analysis_.members.size() && analysis_.members[member_].has_value();
  }
  void end_opaque() { opaque_.finish(); }

  BlobPacker& packer_;
  const GzipAnalysis& analysis_;
  RecipeWriter& recipe_;
  OpaqueSplitter opaque_;
  std::optional<Content> content_;
  std::size_t member_ = 0;
};

void pack_gzip(BlobPacker& packer, const spec::BlobInput& blob, const GzipAnalysis& analysis,
               RecipeWriter& recipe, const Cancel& cancel) {
  GzipPacker visitor(packer, analysis, recipe);
  codec::GzipParser parser(visitor);
  read_checked(blob, cancel, [&](ByteView part) { parser.write(part); });
  parser.finish();
  visitor.finish();
}

}  // namespace

StudiedBlob BlobPacker::study(const spec::BlobInput& blob, const Cancel& cancel) const {
  StudiedBlob studied;
  if (attestor_ != nullptr && attest::is_worth_scanning(blob)) {
    studied.scanner = std::make_unique<attest::BlobScanner>();
  }
  studied.analysis = analyse_gzip(blob, cancel, studied.scanner.get(), import_budget_);
  return studied;
}

void BlobPacker::add(const spec::BlobInput& blob, StudiedBlob studied, const Cancel& cancel) {
  pack(blob, studied.analysis, cancel, studied.scanner.get());
  if (studied.scanner != nullptr) attestor_->add(blob.digest, studied.scanner->finish());
}

void BlobPacker::look_into(const spec::BlobInput& blob, const Cancel& cancel) {
  if (attestor_ == nullptr || !attest::is_worth_scanning(blob)) return;
  attest::BlobScanner scanner;
  PlainTap tap(scanner);
  read_checked(blob, cancel, [&](ByteView part) { tap.write(part); });
  attestor_->add(blob.digest, scanner.finish());
}

void BlobPacker::pack(const spec::BlobInput& blob, const GzipAnalysis& analysis,
                      const Cancel& cancel, Sink* plain) {
  RecipeWriter recipe;
  stats_.blob_bytes += blob.size;
  if (base_ != nullptr) base_->begin_blob();
  if (blob.size == 0) {
    recipe.begin_plain();
    recipe.end_segment();
  } else if (analysis.any_replayed()) {
    pack_gzip(*this, blob, analysis, recipe, cancel);
  } else if (analysis.is_gzip) {
    recipe.begin_plain();
    OpaqueSplitter splitter(*this, recipe, OpaqueSplitter::Frame::given);
    read_checked(blob, cancel, [&](ByteView part) { splitter.write(part); });
    splitter.finish();
    recipe.end_segment();
  } else {
    pack_other(blob, recipe, cancel, plain);
  }
  if (analysis.is_gzip) stats_.gzip_bytes += blob.size;
  stats_.replayed_bytes += analysis.replayed_bytes;
  if (!analysis.parts.empty()) features_.insert(format::Feature::deflate_parts);
  for (const auto& spec : analysis.members) {
    if (spec) features_.insert(feature_of(*spec));
  }
  write_recipe(blob, recipe);
}

// Not gzip: a disk with compressed grains, or anything else.
void BlobPacker::pack_other(const spec::BlobInput& blob, RecipeWriter& recipe, const Cancel& cancel,
                            Sink* plain) {
  GrainPacker packer(*this, recipe, base_, import_budget_);
  codec::GrainScanner scanner(packer);
  read_checked(blob, cancel, [&](ByteView part) {
    scanner.write(part);
    if (plain != nullptr) plain->write(part);
  });
  scanner.finish();
  packer.finish();
  if (packer.grains() == 0) return;
  stats_.replayed_bytes += packer.replayed_bytes();
  stats_.gzip_bytes += packer.replayed_bytes();
  features_.insert({format::Feature::deflate_zlib, format::Feature::deflate_parts});
}

void BlobPacker::write_recipe(const spec::BlobInput& blob, RecipeWriter& writer) {
  const Bytes recipe = writer.take();
  if (recipe.size() > format::kMaxRecipeBytes) {
    throw Error(ErrorCode::limit,
                fmt::format("{}: {} needs a recipe of {} bytes, the limit is {}", blob.origin,
                            blob.digest.text(), recipe.size(), format::kMaxRecipeBytes));
  }
  const std::uint64_t offset = packs_.append(Stream::recipes, recipe);
  index_.blobs.push_back({blob.digest, offset, static_cast<std::uint32_t>(recipe.size())});
}

Run BlobPacker::store_unique(Stream stream, ByteView bytes, const std::vector<Run>& references) {
  stats_.unique_bytes += bytes.size();
  const std::uint64_t offset = packs_.append(stream, bytes, references);
  return {static_cast<std::uint8_t>(stream), 0, offset, bytes.size()};
}

std::optional<Run> BlobPacker::copy_from_base(ByteView bytes) {
  if (base_ == nullptr) return std::nullopt;
  auto run = base_->copy(bytes);
  if (run) stats_.base_bytes += bytes.size();
  return run;
}

std::vector<Run> BlobPacker::references_for(ByteView bytes, const FilePlace& file) {
  return base_ == nullptr ? std::vector<Run>() : base_->similar(bytes, file);
}

Run BlobPacker::store_object(ByteView bytes, const FilePlace& file) {
  stats_.plain_bytes += bytes.size();
  if (bytes.size() >= kMinDedupe && all_zero(bytes))
    return {format::kZeroSource, 0, 0, bytes.size()};
  if (const auto run = copy_from_base(bytes)) return *run;
  if (bytes.size() < kMinDedupe) {
    return store_unique(Stream::content, bytes, references_for(bytes, file));
  }
  const Digest digest = sha256(bytes);
  const auto known = objects_.find(digest);
  if (known != objects_.end() && worth_fetching(known->second, bytes.size())) {
    return {static_cast<std::uint8_t>(known->second.stream), 0, known->second.offset, bytes.size()};
  }
  const Stream stream = is_opaque(bytes) ? Stream::opaque : Stream::content;
  const Run run = stream == Stream::opaque
                      ? store_unique(stream, bytes)
                      : store_unique(stream, bytes, references_for(bytes, file));
  objects_.insert_or_assign(digest, Place{stream, run.offset});
  note_use({stream, run.offset});
  return run;
}

bool BlobPacker::worth_fetching(const Place& place, std::size_t size) {
  const auto group = std::pair(place.stream, place.offset / packs_.group_size(place.stream));
  if (size < kMinFarDedupe && std::ranges::find(near_, group) == near_.end()) return false;
  note_use(place);
  return true;
}

void BlobPacker::note_use(const Place& place) {
  const auto group = std::pair(place.stream, place.offset / packs_.group_size(place.stream));
  if (!near_.empty() && near_.front() == group) return;
  std::erase(near_, group);
  near_.push_front(group);
  if (near_.size() > kNearGroups) near_.pop_back();
}

Run BlobPacker::store_header(ByteView bytes, const std::string& path) {
  stats_.plain_bytes += bytes.size();
  if (base_ == nullptr) return store_unique(Stream::headers, bytes);
  if (const auto run = base_->copy_header(bytes)) {
    stats_.base_bytes += bytes.size();
    return *run;
  }
  return store_unique(Stream::headers, bytes, base_->similar_header(path));
}

Run BlobPacker::store_corrections(ByteView bytes) {
  return store_unique(Stream::headers, bytes);
}

Run BlobPacker::store_opaque(ByteView bytes) {
  stats_.plain_bytes += bytes.size();
  if (const auto run = copy_from_base(bytes)) return *run;
  const Digest digest = sha256(bytes);
  const auto [known, added] = objects_.try_emplace(digest);
  if (added) known->second = {Stream::opaque, store_unique(Stream::opaque, bytes).offset};
  return {static_cast<std::uint8_t>(known->second.stream), 0, known->second.offset, bytes.size()};
}

void BlobPacker::finish() {
  if (base_ != nullptr) features_.insert(format::Feature::base);
  if (std::ranges::any_of(index_.groups,
                          [](const format::Group& group) { return group.reference_size > 0; })) {
    features_.insert(format::Feature::group_reference);
  }
  for (const format::Group& group : index_.groups) {
    if (group.filter == format::Filter::x86) features_.insert(format::Feature::x86_filter);
    if (group.filter == format::Filter::difference) features_.insert(format::Feature::difference);
  }
  for (const format::Feature feature : features_) {
    index_.features.push_back(static_cast<std::uint32_t>(feature));
  }
}

}  // namespace bundle::pack
