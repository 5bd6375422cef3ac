#include "registry/pushed_repositories.h"

#include <fmt/format.h>

#include <utility>

#include "bundle/error.h"
#include "oci/document.h"

namespace bundle::registry {
namespace {

constexpr std::chrono::milliseconds kLookInterval{200};

std::uint64_t bytes_of(const Repository& repository) {
  std::uint64_t total = 0;
  for (const auto& [digest, document] : repository.documents) total += document->bytes.size();
  return total;
}

}  // namespace

PushedRepositories::PushedRepositories(FileSystem& fs, Path store_root, bool writable)
    : fs_(fs), root_(std::move(store_root)) {
  if (!writable) return;
  writer_ = std::make_unique<store::PushedWriter>(fs_, root_);
  load(writer_->found());
}

PushedRepositories::Fingerprint PushedRepositories::fingerprint() const {
  Fingerprint print;
  const Path folder = store::pushed_dir(root_) / "repositories";
  if (!fs_.status(folder)) return print;
  for (const std::string& name : fs_.list(folder)) {
    const FileStatus status = fs_.status(folder / name).value_or(FileStatus{});
    print.push_back(fmt::format("{} {} {} {}", name, status.inode, status.mtime_ns, status.size));
  }
  return print;
}

// With the lock held.
void PushedRepositories::follow() const {
  const auto now = std::chrono::steady_clock::now();
  if (writer_ || now - looked_at_ < kLookInterval) return;
  looked_at_ = now;
  try {
    Fingerprint print = fingerprint();
    if (print == seen_) return;
    load(store::read_pushed(fs_, root_));
    seen_ = std::move(print);
  } catch (const Error& error) {
    record_problems_ = {error.message()};  // what was there stays
  }
}

void PushedRepositories::load(const store::PushedContent& content) const {
  std::map<std::string, RepositoryPtr, std::less<>> fresh;
  damage_.clear();
  for (const store::PushedRepository& repository : content.repositories) {
    const auto known = repositories_.find(repository.name);
    const Repository* previous = known == repositories_.end() ? nullptr : known->second.get();
    fresh.emplace(repository.name, build(repository, previous, nullptr));
  }
  repositories_ = std::move(fresh);
  record_problems_ = content.problems;
}

std::shared_ptr<const Repository> PushedRepositories::build(
    const store::PushedRepository& repository, const Repository* previous,
    const DocumentPtr& fresh) const {
  auto built = std::make_shared<Repository>();
  built->full_names = {repository.name};
  damage_.erase(repository.name);
  for (const auto& [digest, blob] : repository.blobs) {
    built->blobs.emplace(digest, BlobFacts{blob.size, blob.stored_ns, StorePart::pushed});
  }
  for (const Digest& digest : repository.manifests) {
    DocumentPtr document;
    if (fresh && fresh->descriptor.digest == digest) document = fresh;
    if (!document && previous != nullptr) {
      const auto known = previous->documents.find(digest);
      if (known != previous->documents.end()) document = known->second;
    }
    try {
      if (!document) {
        document = read_document(fs_, store::pushed_blob_path(root_, digest), digest,
                                 repository.blobs.at(digest).size);
      }
    } catch (const Error& error) {
      damage_[repository.name].push_back(error.message());
      continue;
    }
    built->documents.emplace(digest, document);
    if (document->subject) built->referrers[*document->subject].push_back(document);
  }
  for (auto& [subject, list] : built->referrers) sort_by_digest(list);
  for (const auto& [tag, digest] : repository.tags) {
    const auto document = built->documents.find(digest);
    if (document != built->documents.end()) built->tags.emplace(tag, document->second);
  }
  return built;
}

RepositoryPtr PushedRepositories::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  follow();
  const auto at = repositories_.find(name);
  return at == repositories_.end() ? nullptr : at->second;
}

std::vector<std::pair<std::string, RepositoryPtr>> PushedRepositories::all() const {
  const std::lock_guard lock(mutex_);
  follow();
  return {repositories_.begin(), repositories_.end()};
}

std::vector<std::string> PushedRepositories::problems() const {
  const std::lock_guard lock(mutex_);
  follow();
  std::vector<std::string> all = record_problems_;
  for (const auto& [name, list] : damage_) {
    for (const std::string& problem : list) all.push_back(name + ": " + problem);
  }
  return all;
}

void PushedRepositories::update(const store::PushedRepository& repository,
                                const DocumentPtr& document) {
  const std::lock_guard lock(mutex_);
  if (repository.empty()) {
    repositories_.erase(repository.name);
    damage_.erase(repository.name);
    return;
  }
  auto& place = repositories_[repository.name];
  place = build(repository, place.get(), document);
}

std::uint64_t PushedRepositories::document_bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t total = 0;
  for (const auto& [name, repository] : repositories_) total += bytes_of(*repository);
  return total;
}

}  // namespace bundle::registry
