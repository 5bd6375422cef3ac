#include "store/site_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "codec/json.h"
#include "format/limits.h"
#include "io/safe_path.h"
#include "release/manifest.h"
#include "store/blob_file.h"
#include "trust/statement.h"

namespace bundle::store {
namespace {

constexpr std::string_view kLayoutFile = "oci-layout";
constexpr std::string_view kLayoutContent = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::string_view kEmptyIndex =
    R"({"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2})";
constexpr std::uint64_t kMaxSmallFile = 64 * 1024;
constexpr std::size_t kReadBuffer = 1 << 20;

Error not_a_store(const Path& root, std::string_view reason) {
  return Error(
      ErrorCode::store_invalid, fmt::format("{} is not a site store: {}", root.string(), reason),
      "Name the store's folder; 'bundle-import import SRC --store DIR' makes a new one in an "
      "empty folder.");
}

bool is_store(FileSystem& fs, const Path& root) {
  return fs.status(root / "oci-layout") && fs.status(root / "blobs" / "sha256") &&
         fs.status(root / "releases");
}

NamedArtifact named(std::string name, const oci::Descriptor& descriptor) {
  return {std::move(name), descriptor};
}

void append_artifact(const release::Artifact& artifact, std::vector<NamedArtifact>& out) {
  out.push_back(named(artifact.name, artifact.descriptor));
  const std::string repository = artifact.registry.empty()
                                     ? artifact.repository
                                     : artifact.registry + "/" + artifact.repository;
  for (const release::Referrer& referrer : artifact.referrers) {
    const std::string& tag = referrer.tag;
    const std::string suffix = tag.empty() ? "@" + referrer.descriptor.digest.text() : ":" + tag;
    out.push_back(named(repository + suffix, referrer.descriptor));
  }
}

}  // namespace

std::shared_ptr<SiteStore> SiteStore::open(FileSystem& fs, const Path& root) {
  if (!is_store(fs, root)) {
    throw not_a_store(
        root, fs.status(root) ? "it lacks oci-layout, blobs or releases" : "it does not exist");
  }
  return std::shared_ptr<SiteStore>(new SiteStore(fs, root));
}

std::shared_ptr<SiteStore> SiteStore::create(FileSystem& fs, const Path& root) {
  if (is_store(fs, root)) return open(fs, root);
  // A creation that was cut short leaves only directories and no content: go on with it.
  if (fs.status(root) && !fs.status(root / "blobs") && !fs.list(root).empty()) {
    throw not_a_store(root, "the folder is not empty");
  }
  for (const char* part : {"blobs/sha256", "releases", "channels", "trust", "staging"}) {
    fs.create_directories(root / part);
  }
  if (!fs.status(root / "index.json"))
    write_file_atomically(fs, root / "index.json", as_bytes(kEmptyIndex));
  write_file_atomically(fs, root / kLayoutFile, as_bytes(kLayoutContent));
  return open(fs, root);
}

Path SiteStore::blob_path(const Digest& digest) const {
  return root_ / "blobs" / "sha256" / digest.hex();
}

std::optional<std::uint64_t> SiteStore::blob_size(const Digest& digest) const {
  const auto status = fs_.status(blob_path(digest));
  if (!status || status->kind != FileKind::regular) return std::nullopt;
  return status->size;
}

bool SiteStore::has_blob(const BlobEntry& blob) const {
  return blob_size(blob.digest) == blob.size;
}

std::string blob_file_problem(FileSystem& fs, const Path& path, const BlobEntry& blob,
                              const Cancel& cancel) {
  const auto status = fs.status(path);
  if (!status || status->kind != FileKind::regular) return "missing";
  if (status->size != blob.size) {
    return fmt::format("has {} bytes instead of {}", status->size, blob.size);
  }
  const auto file = fs.open(path);
  Sha256 hash;
  Bytes buffer(kReadBuffer);
  std::uint64_t offset = 0;
  while (const std::size_t count = file->read_at(offset, buffer)) {
    cancel.check();
    hash.write(ByteView(buffer).first(count));
    offset += count;
  }
  file->drop_cache(0, offset);
  return hash.finish() == blob.digest ? "" : "does not match its digest";
}

std::string SiteStore::blob_problem(const BlobEntry& blob, const Cancel& cancel) const {
  return blob_file_problem(fs_, blob_path(blob.digest), blob, cancel);
}

std::unique_ptr<ReadableFile> SiteStore::open_blob(const Digest& digest) const {
  return fs_.open(blob_path(digest));
}

Path SiteStore::partial_path(const Digest& digest) const {
  return staging_dir() / (std::string(kPartialPrefix) + digest.hex());
}

std::uint64_t SiteStore::partial_bytes(const Digest& digest) const {
  const auto status = fs_.status(partial_path(digest));
  return status ? status->size : 0;
}

std::optional<std::string> SiteStore::active_version() const {
  if (!fs_.status(root_ / "active")) return std::nullopt;
  std::string version = read_text_file(fs_, root_ / "active", kMaxSmallFile);
  while (!version.empty() && version.back() == '\n') version.pop_back();
  if (version.empty()) return std::nullopt;
  return version;
}

Path SiteStore::release_dir(const std::string& version) const {
  return join_safely(root_ / "releases", version, "release version");
}

std::vector<ReleaseInfo> SiteStore::releases() const {
  std::vector<ReleaseInfo> found;
  for (const std::string& name : fs_.list(root_ / "releases")) {
    if (fs_.status(root_ / "releases" / name / "statement.json")) found.push_back(release(name));
  }
  std::ranges::sort(found, {}, &ReleaseInfo::release_number);
  return found;
}

ReleaseInfo SiteStore::release(const std::string& version) const {
  const Path path = release_dir(version) / "statement.json";
  if (!fs_.status(path)) {
    throw Error(ErrorCode::release_unknown,
                fmt::format("the store {} has no release {}", root_.string(), version),
                "'bundle-import list' shows what is there.");
  }
  const trust::Statement statement =
      trust::parse_statement(read_text_file(fs_, path, format::kMaxDocumentBytes), path.string());
  return {statement.version,
          statement.product,
          statement.release_number,
          format_time(statement.created),
          format_time(statement.expires),
          statement.blob_count,
          statement.blob_bytes,
          active_version() == statement.version};
}

std::vector<BlobEntry> SiteStore::release_blobs(const std::string& version) const {
  release(version);
  const Path path = release_dir(version) / "blobs.list";
  return format::decode_blob_list(read_text_file(fs_, path, format::kMaxBlobListBytes),
                                  path.string());
}

std::string SiteStore::release_manifest(const std::string& version) const {
  release(version);
  return read_text_file(fs_, release_dir(version) / "manifest.json", format::kMaxDocumentBytes);
}

std::vector<NamedArtifact> SiteStore::release_artifacts(const std::string& version) const {
  const auto manifest = release::parse_manifest(release_manifest(version),
                                                (release_dir(version) / "manifest.json").string());
  std::vector<NamedArtifact> artifacts;
  for (const release::Artifact* artifact : manifest.artifacts())
    append_artifact(*artifact, artifacts);
  return artifacts;
}

}  // namespace bundle::store
