#include "store/store_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/time.h"
#include "bundle/error.h"
#include "format/limits.h"

namespace bundle::store {
namespace {

constexpr std::string_view kReleasePrefix = "release-";
constexpr std::string_view kTrashPrefix = "trash-";
constexpr std::uint64_t kSyncEvery = 64 << 20;  // of a resumable blob: what a power cut costs
constexpr std::size_t kHashBuffer = 1 << 20;

std::unique_ptr<FileLock> lock_store(const SiteStore& store) {
  if (!store.fs().writable(store.root())) {
    throw Error(
        ErrorCode::read_only, fmt::format("the store {} cannot be written", store.root().string()),
        "Run as the user that owns the store, and check that its disk is not mounted read-only.");
  }
  return store.fs().lock(store.root() / ".lock");
}

// None when the release's manifest is damaged: the audit names it, other releases must not suffer.
std::vector<NamedArtifact> readable_artifacts(const SiteStore& store, const std::string& version) {
  try {
    return store.release_artifacts(version);
  } catch (const Error&) {
    return {};
  }
}

codec::Json descriptor_json(const NamedArtifact& artifact) {
  codec::Json entry;
  entry.set("mediaType", artifact.descriptor.media_type);
  entry.set("digest", artifact.descriptor.digest.text());
  entry.set("size", artifact.descriptor.size);
  if (!artifact.descriptor.artifact_type.empty()) {
    entry.set("artifactType", artifact.descriptor.artifact_type);
  }
  codec::Json annotations;
  annotations.set("org.opencontainers.image.ref.name", artifact.name);
  entry.set("annotations", std::move(annotations));
  return entry;
}

}  // namespace

void BlobWriter::write(ByteView bytes) {
  hash_.write(bytes);
  Sink& file = partial_ ? static_cast<Sink&>(*partial_) : static_cast<Sink&>(*anonymous_);
  file.write(bytes);
  written_ += bytes.size();
  if (partial_ && written_ - synced_ >= kSyncEvery) {
    partial_->sync();
    synced_ = written_;
  }
}

StoreWriter::StoreWriter(std::shared_ptr<SiteStore> store)
    : store_(std::move(store)), fs_(store_->fs()), lock_(lock_store(*store_)) {
  clean_staging();
}

StoreWriter::~StoreWriter() = default;

// What a killed writer can leave: files half written beside their final name, half published
// releases. Partial blobs and staged leaves stay, they are work done.
void StoreWriter::clean_staging() {
  fs_.create_directories(store_->staging_dir());
  for (const std::string& name : fs_.list(store_->staging_dir())) {
    const Path path = store_->staging_dir() / name;
    if (name.starts_with(kReleasePrefix) || name.starts_with(kTrashPrefix) ||
        name.ends_with(".new")) {
      fs_.remove_all(path);
    }
    if (name.starts_with(SiteStore::kPartialPrefix) &&
        fs_.status(store_->root() / "blobs" / "sha256" /
                   name.substr(SiteStore::kPartialPrefix.size()))) {
      fs_.remove(path);
    }
  }
  for (const Path& folder :
       {store_->root(), store_->root() / "blobs" / "sha256", store_->trust_dir()}) {
    if (!fs_.status(folder)) continue;
    for (const std::string& name : fs_.list(folder)) {
      if (name.starts_with(".tmp-") || name.ends_with(".new")) fs_.remove(folder / name);
    }
  }
}

std::unique_ptr<BlobWriter> StoreWriter::begin_blob(const BlobEntry& blob, bool resumable) {
  auto writer = std::make_unique<BlobWriter>();
  writer->blob_ = blob;
  if (resumable && blob.size >= kResumableSize) {
    open_partial(*writer);
  } else {
    writer->anonymous_ = fs_.create_anonymous(store_->root() / "blobs" / "sha256");
  }
  return writer;
}

void StoreWriter::open_partial(BlobWriter& writer) {
  writer.partial_path_ = store_->partial_path(writer.blob_.digest);
  writer.partial_ = fs_.open_writable(writer.partial_path_);
  if (writer.partial_->size() > writer.blob_.size) writer.partial_->truncate(0);
  const auto file = fs_.open(writer.partial_path_);
  Bytes buffer(kHashBuffer);
  while (const std::size_t count = file->read_at(writer.written_, buffer)) {
    writer.hash_.write(ByteView(buffer).first(count));
    writer.written_ += count;
  }
  writer.synced_ = writer.written_;
}

void StoreWriter::commit_blob(std::unique_ptr<BlobWriter> writer) {
  const BlobEntry& blob = writer->blob_;
  const Digest digest = writer->hash_.finish();
  if (writer->written_ != blob.size || digest != blob.digest) {
    if (writer->partial_) fs_.remove(writer->partial_path_);
    throw Error(
        ErrorCode::blob_mismatch,
        fmt::format("the rebuilt blob is {} with {} bytes, but should be {} with {} bytes",
                    digest.text(), writer->written_, blob.digest.text(), blob.size),
        "The bundle was made wrong or this machine's memory is faulty: run the same command "
        "again; if it happens again, ask the vendor for a new bundle.");
  }
  const std::lock_guard lock(batch_mutex_);
  batch_bytes_ += blob.size - (writer->partial_ ? writer->synced_ : 0);
  batch_.push_back(std::move(writer));
  if (batch_bytes_ < kBatchBytes && batch_.size() < kBatchFiles) return;
  flush_blobs_locked();
}

void StoreWriter::flush_blobs() {
  const std::lock_guard lock(batch_mutex_);
  flush_blobs_locked();
}

void StoreWriter::flush_blobs_locked() {
  if (batch_.empty()) return;
  fs_.sync_file_system(store_->root());
  for (const auto& writer : batch_) {
    const Path path = store_->blob_path(writer->blob_.digest);
    if (writer->partial_) {
      fs_.rename(writer->partial_path_, path);
    } else if (!writer->anonymous_->publish(path) && !store_->has_blob(writer->blob_)) {
      // A file of that name but of another size: damage that this import repairs.
      fs_.remove(path);
      writer->anonymous_->publish(path);
    }
  }
  fs_.sync_directory(store_->root() / "blobs" / "sha256");
  batch_.clear();
  batch_bytes_ = 0;
}

Path StoreWriter::leaf_path(const format::BundleId& bundle, std::uint32_t leaf) const {
  return store_->staging_dir() / to_hex(bundle) / std::to_string(leaf);
}

void StoreWriter::stage_leaf(const format::BundleId& bundle, std::uint32_t leaf, ByteView bytes) {
  const Path path = leaf_path(bundle, leaf);
  fs_.create_directories(path.parent_path());
  const auto file = fs_.create_anonymous(path.parent_path());
  file->write(bytes);
  // No sync: a staged leaf is checked again when it is read, and simply staged again if bad.
  if (!file->publish(path)) {
    fs_.remove(path);
    file->publish(path);
  }
}

void StoreWriter::note_volume(const format::BundleId& bundle, std::uint32_t number) {
  fs_.open_writable(store_->staging_dir() / to_hex(bundle) / fmt::format("volume-{}", number));
}

void StoreWriter::drop_staged(const format::BundleId& bundle) {
  fs_.remove_all(store_->staging_dir() / to_hex(bundle));
}

void StoreWriter::note_unfinished(const format::BundleId& bundle, std::string_view blob_list) {
  const Path folder = store_->staging_dir() / to_hex(bundle);
  fs_.create_directories(folder);
  write_file_atomically(fs_, folder / "blobs.list", as_bytes(blob_list));
}

void StoreWriter::publish_release(const std::string& version, const format::FileList& files) {
  const Path final_path = store_->release_dir(version);
  const Path staged = store_->staging_dir() / (std::string(kReleasePrefix) + version);
  fs_.remove_all(staged);
  fs_.create_directories(staged);
  for (const format::NamedFile& file : files) {
    const auto out = fs_.open_writable(staged / file.name);
    out->write(as_bytes(file.content));
    out->sync();
  }
  fs_.sync_directory(staged);
  if (fs_.status(final_path)) {
    // Published before: a cut-short import or a repair. The folder of a release that may be live is
    // never away, so its files are replaced one by one.
    for (const format::NamedFile& file : files) {
      fs_.rename(staged / file.name, final_path / file.name);
    }
    fs_.sync_directory(final_path);
    fs_.remove_all(staged);
  } else {
    fs_.rename(staged, final_path);
  }
  fs_.sync_directory(store_->root() / "releases");
  write_index();
}

void StoreWriter::activate(const std::string& version) {
  store_->release(version);
  write_file_atomically(fs_, store_->root() / "active", as_bytes(version + "\n"));
  write_index();
}

void StoreWriter::remove_release(const std::string& version) {
  const Path trash = store_->staging_dir() / (std::string(kTrashPrefix) + version);
  fs_.remove_all(trash);
  fs_.rename(store_->release_dir(version), trash);
  fs_.sync_directory(store_->root() / "releases");
  fs_.remove_all(trash);
}

std::set<Digest> StoreWriter::needed_blobs(const std::vector<std::string>& without,
                                           bool with_unfinished) const {
  std::set<Digest> needed;
  const auto add = [&needed](const std::vector<BlobEntry>& blobs) {
    for (const BlobEntry& blob : blobs) needed.insert(blob.digest);
  };
  for (const ReleaseInfo& release : store_->releases()) {
    if (std::ranges::find(without, release.version) == without.end()) {
      add(store_->release_blobs(release.version));
    }
  }
  if (!with_unfinished) return needed;
  for (const std::string& name : fs_.list(store_->staging_dir())) {
    const Path list = store_->staging_dir() / name / "blobs.list";
    if (!fs_.status(list)) continue;
    add(format::decode_blob_list(read_text_file(fs_, list, format::kMaxBlobListBytes),
                                 list.string()));
  }
  return needed;
}

GcResult StoreWriter::collect(const std::vector<std::string>& releases_to_remove,
                              bool drop_unfinished, bool dry_run) {
  GcResult result;
  for (const std::string& version : releases_to_remove) {
    if (store_->release(version).active) {
      throw Error(ErrorCode::release_active, fmt::format("release {} is active", version),
                  "Activate another release first.");
    }
  }
  const std::set<Digest> needed = needed_blobs(releases_to_remove, !drop_unfinished);
  for (const std::string& version : releases_to_remove) {
    if (!dry_run) remove_release(version);
    result.releases.push_back(version);
  }
  if (drop_unfinished && !dry_run) {
    for (const std::string& name : fs_.list(store_->staging_dir())) {
      fs_.remove_all(store_->staging_dir() / name);
    }
  }
  // Before blobs go, so that index.json never names what is away; on a full disk afterwards.
  const bool index_written = dry_run || try_write_index();
  const Path folder = store_->root() / "blobs" / "sha256";
  for (const std::string& name : fs_.list(folder)) {
    const std::string digest = "sha256:" + name;
    if (!Digest::is_valid(digest) || needed.contains(Digest::parse(digest))) continue;
    result.blobs += 1;
    result.bytes += fs_.status(folder / name).value_or(FileStatus{}).size;
    if (!dry_run) fs_.remove(folder / name);
  }
  if (!index_written) write_index();
  return result;
}

bool StoreWriter::try_write_index() {
  try {
    write_index();
    return true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::no_space) throw;
    return false;
  }
}

void StoreWriter::drop_blob(const Digest& digest) {
  fs_.remove(store_->blob_path(digest));
}

// index.json follows from the releases: every named artifact by digest. Where two releases give one
// name to different digests the plain name is the active release's, or else the newest one's.
void StoreWriter::write_index() {
  std::map<std::string, NamedArtifact> by_name;
  std::vector<ReleaseInfo> releases = store_->releases();
  std::ranges::stable_partition(releases,
                                [](const ReleaseInfo& release) { return !release.active; });
  for (const ReleaseInfo& release : releases) {
    for (const NamedArtifact& artifact : readable_artifacts(*store_, release.version)) {
      const auto [place, added] = by_name.try_emplace(artifact.name, artifact);
      if (added || place->second.descriptor.digest == artifact.descriptor.digest) continue;
      NamedArtifact older = std::exchange(place->second, artifact);
      older.name += "@" + older.descriptor.digest.text();
      by_name.insert_or_assign(older.name, older);
    }
  }
  codec::Json manifests = codec::Json::array();
  for (const auto& [name, artifact] : by_name) manifests.push_back(descriptor_json(artifact));
  codec::Json index;
  index.set("schemaVersion", 2);
  index.set("mediaType", oci::media_type::kIndex);
  index.set("manifests", std::move(manifests));
  write_file_atomically(fs_, store_->root() / "index.json", as_bytes(codec::dump_json(index)));
}

void StoreWriter::audit(std::string_view event, codec::Json details) {
  details.set("event", event);
  details.set("time", format_time(current_time()));
  const auto log = fs_.open_writable(store_->root() / "audit.log");
  log->write(as_bytes(codec::dump_json(details) + "\n"));
  log->sync();
}

}  // namespace bundle::store
