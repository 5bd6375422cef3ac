#include "store/pushed_store.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "bundle/error.h"
#include "codec/json.h"
#include "oci/reference.h"

namespace bundle::store {
namespace {

constexpr std::string_view kRecordSuffix = ".json";
constexpr std::int64_t kRecordVersion = 1;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Path records_dir(const Path& store_root) {
  return pushed_dir(store_root) / "repositories";
}

Path blobs_dir(const Path& store_root) {
  return pushed_dir(store_root) / "blobs" / "sha256";
}

std::string record_name(std::string_view repository) {
  return sha256(as_bytes(repository)).hex() + std::string(kRecordSuffix);
}

[[noreturn]] void corrupt(std::string_view what, std::string_view problem) {
  throw Error(ErrorCode::store_corrupt, fmt::format("{}: {}", what, problem),
              "The record of a pushed repository is damaged. Put it back from a backup, or remove "
              "it and push the images again; releases are not concerned.");
}

void check_limit(std::size_t count, std::size_t limit, std::string_view repository,
                 std::string_view things) {
  if (count <= limit) return;
  throw Error(ErrorCode::limit,
              fmt::format("repository {} would have more than {} {}", repository, limit, things),
              "Delete what is not needed any more, or push into another repository.");
}

void check_limits(const PushedRepository& repository) {
  check_limit(repository.blobs.size(), kMaxPushedBlobs, repository.name, "blobs");
  check_limit(repository.manifests.size(), kMaxPushedManifests, repository.name, "manifests");
  check_limit(repository.tags.size(), kMaxPushedTags, repository.name, "tags");
}

PushedRepository parse_record(const codec::Json& json, std::string_view what) {
  if (json.at("version").as_int() != kRecordVersion) corrupt(what, "has an unknown version");
  PushedRepository repository;
  repository.name = json.at("name").as_string();
  check_limit(json.at("blobs").as_array().size(), kMaxPushedBlobs, repository.name, "blobs");
  for (const codec::Json& entry : json.at("blobs").as_array()) {
    repository.blobs.emplace(Digest::parse(entry.at("digest").as_string()),
                             PushedBlob{entry.at("size").as_size(), entry.at("stored").as_int(),
                                        entry.at("linked").as_int()});
  }
  for (const codec::Json& entry : json.at("manifests").as_array()) {
    const Digest digest = Digest::parse(entry.as_string());
    if (!repository.blobs.contains(digest)) corrupt(what, "names a manifest without its blob");
    repository.manifests.insert(digest);
  }
  for (const auto& [tag, value] : json.at("tags").as_object()) {
    const Digest digest = Digest::parse(value.as_string());
    if (!oci::is_valid_tag(tag) || !repository.manifests.contains(digest)) {
      corrupt(what, "has a tag that names nothing");
    }
    repository.tags.emplace(tag, digest);
  }
  check_limits(repository);
  return repository;
}

}  // namespace

std::string write_pushed_record(const PushedRepository& repository) {
  codec::Json blobs = codec::Json::array();
  for (const auto& [digest, blob] : repository.blobs) {
    codec::Json entry;
    entry.set("digest", digest.text());
    entry.set("size", blob.size);
    entry.set("stored", blob.stored_ns);
    entry.set("linked", blob.linked);
    blobs.push_back(std::move(entry));
  }
  codec::Json manifests = codec::Json::array();
  for (const Digest& digest : repository.manifests) manifests.push_back(digest.text());
  codec::Json tags = codec::Json::object();
  for (const auto& [tag, digest] : repository.tags) tags.set(tag, digest.text());
  codec::Json record;
  record.set("version", kRecordVersion);
  record.set("name", repository.name);
  record.set("blobs", std::move(blobs));
  record.set("manifests", std::move(manifests));
  record.set("tags", std::move(tags));
  return codec::canonical_json(record) + "\n";
}

PushedRepository parse_pushed_record(std::string_view text, std::string_view what) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const codec::Json json =
      codec::parse_json(text, what, {.max_bytes = kMaxPushedRecordBytes, .max_depth = 8});
  try {
    return parse_record(json, what);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::store_corrupt || error.code() == ErrorCode::limit) throw;
    corrupt(what, error.message());
  }
}

Path pushed_dir(const Path& store_root) {
  return store_root / "pushed";
}

Path pushed_blob_path(const Path& store_root, const Digest& digest) {
  return blobs_dir(store_root) / digest.hex();
}

PushedContent read_pushed(FileSystem& fs, const Path& store_root) {
  PushedContent content;
  const Path folder = records_dir(store_root);
  if (!fs.status(folder)) return content;
  for (const std::string& file : fs.list(folder)) {
    if (!file.ends_with(kRecordSuffix)) continue;
    const Path path = folder / file;
    try {
      PushedRepository repository =
          parse_pushed_record(read_text_file(fs, path, kMaxPushedRecordBytes), path.string());
      if (record_name(repository.name) != file) corrupt(path.string(), "has another name inside");
      content.repositories.push_back(std::move(repository));
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_found) continue;  // removed meanwhile
      content.problems.push_back(error.message());
      content.unreadable.insert(file);
    }
  }
  return content;
}

PushedWriter::PushedWriter(FileSystem& fs, Path store_root)
    : fs_(fs), root_(std::move(store_root)) {
  try {
    fs_.create_directories(blobs_dir(root_));
    fs_.create_directories(records_dir(root_));
    lock_ = fs_.lock(pushed_dir(root_) / ".lock");
  } catch (const Error& error) {
    if (error.code() != ErrorCode::read_only) throw;
    throw Error(ErrorCode::read_only, error.message(),
                "The user of the registry must own the folder 'pushed' of the store; "
                "docs/registry.md, \"Pushing\", has the commands.");
  }
  found_ = read_pushed(fs_, root_);
  for (const PushedRepository& repository : found_.repositories) {
    repositories_.emplace(repository.name, repository);
    count(repository, 1);
    for (const auto& [digest, blob] : repository.blobs) stored_[digest] = blob.stored_ns;
  }
  clean();
}

// Files under way when a writer was killed, and blobs whose record did not come. While a record
// cannot be read nobody knows what it names, so every blob stays.
void PushedWriter::clean() {
  for (const std::string& file : fs_.list(records_dir(root_))) {
    if (file.ends_with(".new")) fs_.remove(records_dir(root_) / file);
  }
  for (const std::string& file : fs_.list(blobs_dir(root_))) {
    const std::string digest = "sha256:" + file;
    const bool is_blob = Digest::is_valid(digest);
    if (is_blob && (!found_.unreadable.empty() || uses_.contains(Digest::parse(digest)))) continue;
    if (is_blob || file.starts_with(".tmp-")) fs_.remove(blobs_dir(root_) / file);
  }
}

std::unique_ptr<AnonymousFile> PushedWriter::create_file() const {
  return fs_.create_anonymous(blobs_dir(root_));
}

std::uint64_t PushedWriter::free_bytes() const {
  return fs_.free_bytes(pushed_dir(root_));
}

Path PushedWriter::record_path(const std::string& name) const {
  return records_dir(root_) / record_name(name);
}

void PushedWriter::count(const PushedRepository& repository, int step) {
  for (const auto& [digest, blob] : repository.blobs) {
    if ((uses_[digest] += step) == 0) uses_.erase(digest);
  }
}

// Returns since when the file is known to be right.
std::int64_t PushedWriter::publish(const NewBlob& blob) {
  const Path path = pushed_blob_path(root_, blob.digest);
  const auto known = fs_.status(path);
  const bool sound =
      known && !blob.replace && known->kind == FileKind::regular && known->size == blob.file.size();
  if (sound && stored_.contains(blob.digest)) return stored_.at(blob.digest);
  // Under its name lies nothing, damage, or what a killed writer left.
  fs_.remove(path);
  blob.file.publish(path);
  fs_.sync_directory(blobs_dir(root_));
  return stored_[blob.digest] = now_ns();
}

void PushedWriter::write_record(const PushedRepository& repository) {
  const Path path = record_path(repository.name);
  if (repository.empty()) {
    fs_.remove(path);
    fs_.sync_directory(records_dir(root_));
    return;
  }
  write_file_atomically(fs_, path, as_bytes(write_pushed_record(repository)));
}

PushedRepository PushedWriter::change(const std::string& name, const Edit& edit, NewBlob* blob) {
  const std::lock_guard lock(mutex_);
  return change_locked(name, edit, blob);
}

std::optional<PushedRepository> PushedWriter::mount(const std::string& from,
                                                    const std::string& name, const Digest& digest) {
  const std::lock_guard lock(mutex_);
  const auto source = repositories_.find(from);
  if (source == repositories_.end() || !source->second.blobs.contains(digest)) return std::nullopt;
  PushedBlob blob = source->second.blobs.at(digest);
  blob.linked = current_time();
  return change_locked(
      name, [&](PushedRepository& repository) { repository.blobs.emplace(digest, blob); }, nullptr);
}

PushedRepository PushedWriter::change_locked(const std::string& name, const Edit& edit,
                                             NewBlob* blob) {
  if (found_.unreadable.contains(record_name(name))) {
    corrupt(record_path(name).string(), "cannot be read");
  }
  const auto at = repositories_.find(name);
  PushedRepository before;
  before.name = name;
  if (at != repositories_.end()) before = at->second;
  PushedRepository after = before;
  if (blob != nullptr) {
    after.blobs[blob->digest] = {blob->file.size(), 0, current_time()};
  }
  edit(after);
  check_limits(after);
  if (at == repositories_.end() && repositories_.size() >= kMaxPushedRepositories) {
    throw Error(ErrorCode::limit,
                fmt::format("there are {} pushed repositories already", kMaxPushedRepositories),
                "Delete the content of those that are not needed any more.");
  }
  if (blob != nullptr) after.blobs.at(blob->digest).stored_ns = publish(*blob);
  if (after == before) return after;
  try {
    write_record(after);
  } catch (...) {
    if (blob != nullptr && !uses_.contains(blob->digest)) drop_file(blob->digest);
    throw;
  }
  count(after, 1);
  count(before, -1);
  if (after.empty()) {
    repositories_.erase(name);
  } else {
    repositories_.insert_or_assign(name, after);
  }
  for (const auto& [digest, gone] : before.blobs) {
    if (!uses_.contains(digest) && found_.unreadable.empty()) drop_file(digest);
  }
  return after;
}

// What stays for lack of a chance is removed by the next writer.
void PushedWriter::drop_file(const Digest& digest) {
  stored_.erase(digest);
  try {
    fs_.remove(pushed_blob_path(root_, digest));
  } catch (const Error&) {
  }
}

}  // namespace bundle::store
