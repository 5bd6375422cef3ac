#include "bundle/release_diff.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "codec/json.h"
#include "source/release_packages.h"
#include "unpack/recipe_player.h"

namespace bundle {
namespace source {
namespace {

constexpr std::uint64_t kMaxReferrerBytes = 4ull * 1024 * 1024;

// Collects a blob, and hashes it.
class TextSink final : public Sink {
 public:
  explicit TextSink(std::uint64_t limit) : limit_(limit) {}
  void write(ByteView bytes) override {
    if (text_.size() + bytes.size() > limit_) {
      throw Error(ErrorCode::limit, fmt::format("it has more than {} bytes", limit_));
    }
    text_ += as_text(bytes);
  }
  std::string take(const Digest& digest) {
    if (sha256(as_bytes(text_)) == digest) return std::move(text_);
    throw Error(ErrorCode::blob_mismatch,
                fmt::format("{} does not match its digest", digest.text()));
  }

 private:
  std::uint64_t limit_;
  std::string text_;
};

}  // namespace

ReadBlob blobs_of(const store::SiteStore& store) {
  return [&store](const Digest& digest, std::uint64_t limit) {
    TextSink sink(limit);
    sink.write(read_file(store.fs(), store.blob_path(digest), limit));
    return sink.take(digest);
  };
}

ReadBlob blobs_of(const std::vector<format::BlobEntry>& blobs, const format::Index& index,
                  unpack::GroupReader& groups, const Cancel& cancel) {
  return [&blobs, &index, &groups, &cancel](const Digest& digest, std::uint64_t limit) {
    const format::BlobEntry* blob = unpack::find_blob(blobs, digest);
    for (const format::IndexedBlob& indexed : index.blobs) {
      if (blob == nullptr || indexed.digest != digest) continue;
      TextSink sink(limit);
      unpack::play_recipe(groups, unpack::read_recipe(groups, indexed), *blob, sink, cancel);
      return sink.take(digest);
    }
    throw Error(ErrorCode::not_found, "it is not in this bundle");
  };
}

std::optional<release::PackageVersions> read_packages(const release::Manifest& manifest,
                                                      const ReadBlob& read,
                                                      std::vector<std::string>& notes) {
  const release::Referrer* sbom = release::find_sbom(manifest);
  if (sbom == nullptr) {
    notes.push_back(fmt::format("{} carries no SBOM: packages are not compared", manifest.version));
    return std::nullopt;
  }
  try {
    const codec::Json referrer =
        codec::parse_json(read(sbom->descriptor.digest, kMaxReferrerBytes), "referrer");
    const auto& layers = referrer.at("layers").as_array();
    if (layers.empty()) throw Error(ErrorCode::json_invalid, "the SBOM's manifest has no layer");
    return release::packages_of(
        read(Digest::parse(layers.front().at("digest").as_string()), release::kMaxSbomBytes));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) throw;
    notes.push_back(fmt::format("packages are not compared: the SBOM of {} cannot be read: {}",
                                manifest.version, error.message()));
    return std::nullopt;
  }
}

}  // namespace source

namespace {

struct BundleSide {
  unpack::VolumeSet volumes;
  release::Manifest manifest;
  std::optional<release::PackageVersions> packages;
};

BundleSide read_side(const std::vector<std::filesystem::path>& sources,
                     std::vector<std::string>& notes) {
  BundleSide side{unpack::open_volumes(posix_file_system(), sources), {}, {}};
  const auto document = [&](std::string_view name) {
    return unpack::head_document(side.volumes, name);
  };
  side.manifest = release::parse_manifest(document("manifest.json"), "manifest.json");
  const format::Index index = format::decode_index(as_bytes(document("index")));
  const auto blobs = format::decode_blob_list(document("blobs.list"), "blobs.list");
  const unpack::VolumeLeaves leaves(side.volumes, index);
  unpack::GroupReader groups(index, leaves);
  const Cancel never;
  side.packages =
      source::read_packages(side.manifest, source::blobs_of(blobs, index, groups, never), notes);
  return side;
}

}  // namespace

ReleaseDiff diff_bundles(const std::vector<std::filesystem::path>& from,
                         const std::vector<std::filesystem::path>& to) {
  ReleaseDiff diff;
  const BundleSide a = read_side(from, diff.notes);
  const BundleSide b = read_side(to, diff.notes);
  diff.product = b.manifest.product;
  diff.from = a.manifest.version;
  diff.to = b.manifest.version;
  if (a.manifest.product != b.manifest.product) {
    diff.notes.push_back(
        fmt::format("these are two products: {} and {}", a.manifest.product, b.manifest.product));
  }
  diff.changes = release::changes_between({a.manifest, a.packages}, {b.manifest, b.packages});
  return diff;
}

}  // namespace bundle
