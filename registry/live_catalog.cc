#include "registry/live_catalog.h"

#include <fmt/format.h>

#include <utility>

#include "bundle/error.h"
#include "io/file_system.h"

namespace bundle::registry {
namespace {

// How often one build starts over when the store changes under it.
constexpr int kMaxAttempts = 5;

std::string identity(FileSystem& fs, const Path& path) {
  const auto status = fs.status(path);
  if (!status) return path.filename().string() + " absent";
  return fmt::format("{} {} {} {} {} {}", path.filename().string(), status->device, status->inode,
                     status->size, status->mtime_ns, status->ctime_ns);
}

}  // namespace

LiveCatalog::LiveCatalog(std::shared_ptr<store::SiteStore> store,
                         std::chrono::milliseconds interval, Note note)
    : store_(std::move(store)), interval_(interval), note_(std::move(note)) {
  current_ = build(nullptr);
  generation_ = 1;
  thread_ = std::thread([this] { follow(); });
}

LiveCatalog::~LiveCatalog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_changed_.notify_all();
  thread_.join();
}

std::shared_ptr<const Catalog> LiveCatalog::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

std::string LiveCatalog::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

std::uint64_t LiveCatalog::generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

LiveCatalog::Fingerprint LiveCatalog::fingerprint() const {
  FileSystem& fs = store_->fs();
  const Path releases = store_->root() / "releases";
  Fingerprint print{identity(fs, store_->root() / "active"), identity(fs, releases)};
  // Not only the directory's own times: two renames within one tick of the clock look like one.
  for (const std::string& name : fs.list(releases)) print.push_back(identity(fs, releases / name));
  return print;
}

// A catalog is good when the store was the same before and after reading it. What fails while the
// store changes says nothing: a release that was listed may be gone when it is opened.
std::shared_ptr<const Catalog> LiveCatalog::build(const Catalog* previous) {
  for (int attempt = 1; attempt <= kMaxAttempts; ++attempt) {
    const Fingerprint before = fingerprint();
    try {
      auto catalog = build_catalog(*store_, previous);
      if (fingerprint() != before) continue;
      seen_ = before;
      return catalog;
    } catch (const Error&) {
      if (fingerprint() == before) throw;
    }
  }
  throw Error(ErrorCode::busy, "the store changes too fast to be read");
}

void LiveCatalog::look() {
  std::string trouble;
  try {
    if (fingerprint() != seen_) {
      const auto previous = current();
      auto catalog = build(previous.get());
      {
        const std::lock_guard lock(mutex_);
        current_ = catalog;
        ++generation_;
      }
      note_(fmt::format("now serving {} releases; tags follow {}", catalog->releases.size(),
                        catalog->leading.value_or("none")));
      for (const std::string& problem : catalog->problems) note_(problem);
    }
  } catch (const Error& error) {
    trouble = error.message();
  } catch (const std::exception& error) {
    trouble = error.what();
  }
  const std::lock_guard lock(mutex_);
  if (trouble != trouble_ && !trouble.empty()) {
    note_("the store cannot be read, the last good state is served: " + trouble);
  }
  trouble_ = std::move(trouble);
}

void LiveCatalog::follow() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (stop_changed_.wait_for(lock, interval_, [this] { return stopping_; })) return;
    }
    look();
  }
}

}  // namespace bundle::registry
