#include "registry/blob_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace bundle::registry {
namespace {

constexpr std::size_t kHashBufferBytes = 1024 * 1024;

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

BlobFiles::Identity BlobFiles::identify(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return {};
  return Identity{st.st_dev, st.st_ino, static_cast<std::uint64_t>(st.st_size),
                  nanoseconds(st.st_mtim), nanoseconds(st.st_ctim)};
}

Path BlobFiles::path_of(const Digest& digest, const BlobFacts& facts) const {
  return facts.part == StorePart::pushed ? store::pushed_blob_path(store_.root(), digest)
                                         : store_.blob_path(digest);
}

OpenBlob BlobFiles::open(const Digest& digest, const BlobFacts& facts) {
  // The kernel sends a file from its descriptor, which the file-system seam does not hand out; so
  // this one place opens a file itself.
  UniqueFd fd(::open(path_of(digest, facts).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) {
    const bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    return {exhausted ? BlobState::exhausted : BlobState::missing, UniqueFd()};
  }
  const Identity identity = identify(fd.get());
  if (identity.inode == 0 || identity.size != facts.size) return {BlobState::damaged, UniqueFd()};
  const std::lock_guard lock(mutex_);
  auto& verdicts = verdicts_of(facts);
  const auto known = verdicts.find(digest);
  if (known == verdicts.end()) {
    // First use in this process.
    if (identity.ctime_ns > facts.published_ns) return {BlobState::unverified, UniqueFd()};
    verdicts.emplace(digest, Verdict{identity, true});
    return {BlobState::ready, std::move(fd)};
  }
  if (known->second.identity != identity) return {BlobState::unverified, UniqueFd()};
  if (!known->second.good) return {BlobState::damaged, UniqueFd()};
  return {BlobState::ready, std::move(fd)};
}

void BlobFiles::verify(const Digest& digest, const BlobFacts& facts) {
  UniqueFd fd(::open(path_of(digest, facts).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return;
  const Identity before = identify(fd.get());
  {
    // Many requests may wait for one blob; the first one hashes.
    const std::lock_guard lock(mutex_);
    const auto& verdicts = verdicts_of(facts);
    const auto known = verdicts.find(digest);
    if (known != verdicts.end() && known->second.identity == before) return;
  }
  const auto good = matches(fd.get(), digest, facts, [](std::uint64_t) { return true; });
  if (!good) return;
  // Changed while it was read: the next request finds another identity and verifies again.
  remember(digest, facts, before, *good && identify(fd.get()) == before);
}

std::optional<bool> BlobFiles::matches(int fd, const Digest& digest, const BlobFacts& facts,
                                       const Pace& pace) {
  Sha256 hash;
  std::uint64_t total = 0;
  Bytes buffer(kHashBufferBytes);
  while (total <= facts.size) {
    const ssize_t count = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(total));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;  // unreadable now: nothing is known about the bytes
    if (count == 0) break;
    hash.write(ByteView(buffer).first(static_cast<std::size_t>(count)));
    total += static_cast<std::uint64_t>(count);
    if (!pace(static_cast<std::uint64_t>(count))) return std::nullopt;
  }
  return total == facts.size && hash.finish() == digest;
}

void BlobFiles::scrub(const Digest& digest, const BlobFacts& facts, const Pace& pace) {
  const UniqueFd fd(::open(path_of(digest, facts).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return;
  const Identity before = identify(fd.get());
  if (before.inode == 0) return;
  // Memory may still hold what the disk has lost.
  ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  const auto good = matches(fd.get(), digest, facts, [&](std::uint64_t bytes) {
    scrubbed_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    return pace(bytes);
  });
  if (!good || identify(fd.get()) != before) return;  // changed meanwhile: the next request looks
  const std::lock_guard lock(mutex_);
  verdicts_of(facts).insert_or_assign(digest, Verdict{before, *good});
}

void BlobFiles::remember(const Digest& digest, const BlobFacts& facts, const Identity& identity,
                         bool good) {
  const std::lock_guard lock(mutex_);
  verdicts_of(facts).insert_or_assign(digest, Verdict{identity, good});
  ++verified_count_;
}

std::uint64_t BlobFiles::verified_count() const {
  const std::lock_guard lock(mutex_);
  return verified_count_;
}

std::vector<Digest> BlobFiles::damaged(StorePart part) const {
  const std::lock_guard lock(mutex_);
  std::vector<Digest> found;
  for (const auto& [digest, verdict] : verdicts_[static_cast<std::size_t>(part)]) {
    if (!verdict.good) found.push_back(digest);
  }
  return found;
}

}  // namespace bundle::registry
