// Blob files, opened for sending only while they are what the release says.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "io/unique_fd.h"
#include "registry/catalog.h"
#include "store/pushed_store.h"
#include "store/site_store.h"

namespace bundle::registry {

enum class BlobState : std::uint8_t {
  ready,       // the file may be sent
  unverified,  // changed since it was last known to be right: verify() it first
  missing,     // no such file
  damaged,     // other size or other bytes than the digest says
  exhausted,   // no file descriptor is free
};

struct OpenBlob {
  BlobState state = BlobState::missing;
  UniqueFd fd;  // only when ready
};

// Knows per blob which file (device, inode, size, mtime, ctime) was last right. A file that is not
// that one is hashed again before a byte of it is sent. What import published is right from the
// start: import hashed it, and its ctime shows that nobody touched it since.
// Limits: a change between the check and the sending of the bytes reaches the client, whose own
// digest check refuses them; rot below the file system changes no time and is found by scrubbing.
// Thread-safe.
class BlobFiles {
 public:
  explicit BlobFiles(const store::SiteStore& store) : store_(store) {}

  // Opens and compares; never reads the content, never throws for what the file is.
  OpenBlob open(const Digest& digest, const BlobFacts& facts);
  // Hashes the file and remembers the verdict for exactly this file. Takes as long as reading it.
  // A file that cannot be read gets no verdict.
  void verify(const Digest& digest, const BlobFacts& facts);
  // Called with the bytes read since the last call; may take its time; false stops.
  using Pace = std::function<bool(std::uint64_t bytes)>;
  // Hashes the file whatever is known about it, from the disk and not from memory. What was stopped
  // or cannot be read gets no verdict.
  void scrub(const Digest& digest, const BlobFacts& facts, const Pace& pace);

  // Counters for /metrics.
  std::uint64_t verified_count() const;
  std::uint64_t scrubbed_bytes() const { return scrubbed_bytes_.load(std::memory_order_relaxed); }
  // Blobs whose file was found damaged and not seen right since.
  std::vector<Digest> damaged(StorePart part) const;

 private:
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    bool operator==(const Identity&) const = default;
  };
  struct Verdict {
    Identity identity;
    bool good = false;
  };

  static Identity identify(int fd);
  // Nothing when it was stopped or cannot be read.
  static std::optional<bool> matches(int fd, const Digest& digest, const BlobFacts& facts,
                                     const Pace& pace);
  Path path_of(const Digest& digest, const BlobFacts& facts) const;
  std::unordered_map<Digest, Verdict>& verdicts_of(const BlobFacts& facts) {
    return verdicts_[static_cast<std::size_t>(facts.part)];
  }
  void remember(const Digest& digest, const BlobFacts& facts, const Identity& identity, bool good);

  const store::SiteStore& store_;
  mutable std::mutex mutex_;
  // By StorePart: the same blob in both parts is two files.
  std::array<std::unordered_map<Digest, Verdict>, 2> verdicts_;
  std::uint64_t verified_count_ = 0;
  std::atomic<std::uint64_t> scrubbed_bytes_{0};
};

}  // namespace bundle::registry
