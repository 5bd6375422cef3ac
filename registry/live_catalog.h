// The catalog that follows the store: releases come, go and become active while it is served.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "registry/catalog.h"
#include "store/site_store.h"

namespace bundle::registry {

// Looks at the `active` file and at releases/ every `interval` and builds a new catalog when one of
// them changed. The switch is one pointer: a request sees the old catalog or the new one. While a
// new catalog cannot be read (store unmounted, release half removed) the old one stays.
class LiveCatalog {
 public:
  using Note = std::function<void(const std::string&)>;

  // Builds the first catalog in the caller's thread; throws what build_catalog throws.
  // `note` is called from the follower's thread.
  LiveCatalog(std::shared_ptr<store::SiteStore> store, std::chrono::milliseconds interval,
              Note note);
  ~LiveCatalog();
  LiveCatalog(const LiveCatalog&) = delete;
  LiveCatalog& operator=(const LiveCatalog&) = delete;

  // Never nullptr. Thread-safe.
  std::shared_ptr<const Catalog> current() const;
  // Why the store could not be read at the last look; empty when all is well. Thread-safe.
  std::string trouble() const;
  // How many catalogs were published. Thread-safe.
  std::uint64_t generation() const;
  const store::SiteStore& store() const { return *store_; }

 private:
  // What a change of the store changes: identities of `active`, of releases/ and of each release.
  using Fingerprint = std::vector<std::string>;

  Fingerprint fingerprint() const;
  void follow();
  void look();
  std::shared_ptr<const Catalog> build(const Catalog* previous);

  std::shared_ptr<store::SiteStore> store_;
  std::chrono::milliseconds interval_;
  Note note_;
  Fingerprint seen_;  // of the published catalog; used by the follower's thread only

  mutable std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stopping_ = false;
  std::shared_ptr<const Catalog> current_;
  std::string trouble_;
  std::uint64_t generation_ = 0;
  std::thread thread_;
};

}  // namespace bundle::registry
