#include "pack/base_bundle.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "codec/deflate_encoder.h"
#include "codec/gzip_reader.h"
#include "trust/carrier.h"
#include "trust/statement.h"
#include "unpack/bundle_reader.h"
#include "unpack/recipe_player.h"

namespace bundle::pack {
namespace {

constexpr std::uint64_t kGroupBudget = 64 << 20;
constexpr std::uint64_t kCorrectionsHeader = 4;  // their length

void write_zeros(std::uint64_t length, Sink& out) {
  static constexpr std::array<std::uint8_t, 64 << 10> kZeros{};
  while (length > 0) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(length, kZeros.size()));
    out.write(ByteView(kZeros).first(part));
    length -= part;
  }
}

}  // namespace

BaseBundle::BaseBundle(FileSystem& fs, const Path& folder)
    : volumes_(unpack::open_volumes(fs, {folder})) {
  const auto document = [this](std::string_view name) {
    return unpack::head_document(volumes_, name);
  };
  name_ = trust::parse_statement(document("statement.json"), (folder / "statement.json").string())
              .version;
  blob_list_ = unpack::release_documents(volumes_).blob_list;
  index_ = format::decode_index(as_bytes(document("index")));
  if (!trust::parse_carrier(document("carrier.json"), (folder / "carrier.json").string())
           .bases.empty()) {
    throw Error(
        ErrorCode::usage, fmt::format("{} is a delta itself", folder.string()),
        "Name the full bundle of that release as the base: a delta lacks what its own base has.");
  }
  leaves_ = std::make_unique<unpack::VolumeLeaves>(volumes_, index_);
  groups_ = std::make_unique<unpack::GroupReader>(index_, *leaves_, kGroupBudget);
  for (const format::IndexedBlob& blob : index_.blobs) load(blob);
}
BaseBundle::~BaseBundle() = default;

// Notes where the blob's bytes are. A mix of replayed members and others is left out: its plain
// bytes are not those that the site will inflate. Of a disk its grains are noted.
void BaseBundle::load(const format::IndexedBlob& blob) {
  const Bytes recipe = unpack::read_recipe(*groups_, blob);
  format::RecipeReader reader(recipe, index_, blob.digest);
  std::vector<Piece> pieces;
  std::vector<Grain> grains;
  std::uint64_t size = 0;
  std::uint64_t at = 0;  // in the blob itself, while that is known
  bool plain = false;
  bool inflated = false;
  bool literal = false;
  bool placed = true;  // `at` is known
  bool gzip = false;
  format::Segment segment;
  while (reader.next_segment(segment)) {
    if (size == 0 && !literal) gzip = codec::is_gzip(segment.literal);
    literal = literal || segment.kind == format::SegmentKind::literal;
    plain = plain || segment.kind == format::SegmentKind::plain;
    inflated = inflated || format::is_deflate(segment.kind);
    placed = placed && segment.kind != format::SegmentKind::deflate;
    at += segment.literal.size();
    std::uint64_t bits = 0;
    for (const codec::StreamPart& part : segment.parts) bits += part.bits;
    const bool corrected =
        segment.kind == format::SegmentKind::deflate && segment.family == codec::kTokenFamily;
    std::uint64_t skip = format::verbatim_bytes(segment.parts);
    for (std::uint64_t i = 0; i < segment.runs; ++i) {
      format::Run run = reader.next_run();
      if (corrected && i == 0) {
        if (run.length < kCorrectionsHeader || run.source == format::kZeroSource) return;
        skip = corrections_size(run);
      }
      if (segment.kind == format::SegmentKind::plain) at += run.length;
      if (segment.parts.size() == 1 && segment.runs == 1 && skip == 0)
        grains.push_back({blob.digest, at, bits / 8, {segment.family, segment.params}, run});
      const std::uint64_t skipped = std::min(skip, run.length);
      skip -= skipped;
      run.offset += skipped;
      run.length -= skipped;
      if (run.length == 0) continue;
      pieces.push_back({size, run});
      size += run.length;
    }
    at += bits / 8;
  }
  if (plain && inflated && placed) return add_grains(std::move(grains));
  if (size == 0 || plain == inflated || inflated != gzip) return;
  readable_.push_back(
      {blob.digest, inflated ? format::kBasePlainSource : format::kBaseSource, size});
  pieces_.emplace(blob.digest, std::move(pieces));
}

void BaseBundle::add_grains(std::vector<Grain> grains) {
  grains_.insert(grains_.end(), std::make_move_iterator(grains.begin()),
                 std::make_move_iterator(grains.end()));
}

Bytes BaseBundle::plain_of(const Grain& grain) const {
  MemorySink plain(grain.plain.length);
  for (std::uint64_t at = 0; at < grain.plain.length;)
    at += write_part(grain.plain, at, grain.plain.length - at, plain);
  return plain.take();
}

// What precedes the plain bytes of predicted tokens (codec/token_coder.h), with its own length.
std::uint64_t BaseBundle::corrections_size(const format::Run& run) const {
  MemorySink header(kCorrectionsHeader);
  for (std::uint64_t at = 0; at < kCorrectionsHeader;) {
    at += write_part(run, at, kCorrectionsHeader - at, header);
  }
  return kCorrectionsHeader + load_le<std::uint32_t>(header.take().data());
}

std::uint64_t BaseBundle::write_part(const format::Run& run, std::uint64_t within,
                                     std::uint64_t length, Sink& out) const {
  if (run.source == format::kZeroSource) {
    write_zeros(length, out);
    return length;
  }
  const format::Group& group = *index_.find_group(run.source, run.offset + within);
  const auto plain = groups_->get(index_.group_number(group));
  const std::uint64_t start = run.offset + within - group.plain_offset;
  const std::uint64_t part = std::min<std::uint64_t>(length, plain->size() - start);
  out.write(
      ByteView(*plain).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(part)));
  return part;
}

void BaseBundle::read(const Digest& blob, std::uint64_t offset, std::uint64_t length,
                      Sink& out) const {
  const std::vector<Piece>& pieces = pieces_.at(blob);
  auto piece = std::ranges::upper_bound(pieces, offset, {}, &Piece::offset);
  while (length > 0) {
    if (piece == pieces.begin() ||
        offset - std::prev(piece)->offset >= std::prev(piece)->run.length) {
      throw Error(ErrorCode::internal,
                  fmt::format("base blob {} is read past its end", blob.text()));
    }
    const Piece& from = *std::prev(piece);
    const std::uint64_t within = offset - from.offset;
    const std::uint64_t part =
        write_part(from.run, within, std::min(length, from.run.length - within), out);
    offset += part;
    length -= part;
    if (offset == from.offset + from.run.length && piece != pieces.end()) ++piece;
  }
}

}  // namespace bundle::pack
