// The repositories that were pushed, as they are served: beside the catalog of the releases, which
// always comes first. Where a release brings a repository of the same name the pushed one is
// hidden, not lost.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registry/catalog.h"
#include "store/pushed_store.h"

namespace bundle::registry {

// Thread-safe. What a call returns is one consistent state of a repository.
class PushedRepositories {
 public:
  // `writable`: becomes the one writer; throws what PushedWriter throws. Without it another process
  // may write, and its changes are followed.
  PushedRepositories(FileSystem& fs, Path store_root, bool writable);

  // By full name; nullptr when nothing was pushed under it.
  RepositoryPtr find(std::string_view name) const;
  std::vector<std::pair<std::string, RepositoryPtr>> all() const;
  // What could not be offered, in words.
  std::vector<std::string> problems() const;

  // Only when writable.
  store::PushedWriter& writer() { return *writer_; }
  // Offers a repository as it is after a change. `document`: the one that came with it, if any.
  void update(const store::PushedRepository& repository, const DocumentPtr& document = nullptr);
  // Bytes of all manifests; they are held in memory.
  std::uint64_t document_bytes() const;

 private:
  // Records as they were when they were read: name and identity of each.
  using Fingerprint = std::vector<std::string>;

  Fingerprint fingerprint() const;
  void follow() const;
  void load(const store::PushedContent& content) const;
  std::shared_ptr<const Repository> build(const store::PushedRepository& repository,
                                          const Repository* previous,
                                          const DocumentPtr& fresh) const;

  FileSystem& fs_;
  Path root_;
  std::unique_ptr<store::PushedWriter> writer_;
  // A reader finds out on being asked, at most every kLookInterval.
  mutable std::mutex mutex_;
  mutable std::chrono::steady_clock::time_point looked_at_{};
  mutable Fingerprint seen_;
  mutable std::map<std::string, RepositoryPtr, std::less<>> repositories_;
  mutable std::map<std::string, std::vector<std::string>> damage_;  // by repository
  mutable std::vector<std::string> record_problems_;
};

}  // namespace bundle::registry
