#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "bundle/error.h"
#include "io/file_system.h"
#include "io/unique_fd.h"

namespace bundle {
namespace {

// errno becomes an Error in this one place. `where`: the offset in the file, when there is one.
[[noreturn]] void fail(int error, std::string_view action, const Path& path,
                       std::optional<std::uint64_t> where = std::nullopt) {
  const std::string message =
      fmt::format("cannot {} {}{}: {}", action, path.string(),
                  where ? fmt::format(" at offset {}", *where) : "", strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      throw Error(ErrorCode::not_found, message, "Check the path.");
    case ENOSPC:
    case EDQUOT:
      throw Error(
          ErrorCode::no_space, message,
          "Free some space (bundle-import gc removes old releases) and run the same command "
          "again: it continues.");
    case EROFS:
    case EACCES:
    case EPERM:
      throw Error(ErrorCode::read_only, message,
                  "Check the owner, the permissions and the mount options of the directory.");
    case EIO:
    case ENXIO:
    case ENODEV:
    case ESTALE:
    case ENOTCONN:
      throw Error(ErrorCode::media_unreadable, message,
                  "Check that the medium is still plugged in, then run the same command again: it "
                  "continues.");
    default:
      throw Error(
          ErrorCode::io_error, message,
          "The operating system refused it; if the reason above does not help, check the disk "
          "and the system log, then run the same command again.");
  }
}

// Opening for reading: no permission says nothing about the destination.
[[noreturn]] void fail_reading(int error, const Path& path) {
  if (error != EACCES && error != EPERM) fail(error, "open", path);
  throw Error(ErrorCode::media_unreadable,
              fmt::format("cannot read {}: {}", path.string(), strerror(error)),
              "Run as a user that may read it, or check how the medium is mounted.");
}

template <typename Call>
auto retry_interrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

std::size_t read_fd(int fd, std::uint64_t offset, std::span<std::uint8_t> buffer,
                    const Path& path) {
  std::size_t have = 0;
  while (have < buffer.size()) {
    const ssize_t count = retry_interrupted([&] {
      return ::pread(fd, buffer.data() + have, buffer.size() - have,
                     static_cast<off_t>(offset + have));
    });
    if (count < 0) fail(errno, "read", path, offset + have);
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  return have;
}

void write_fd(int fd, std::uint64_t offset, ByteView bytes, const Path& path) {
  while (!bytes.empty()) {
    const ssize_t count = retry_interrupted(
        [&] { return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (count < 0) fail(errno, "write", path, offset);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

std::uint64_t fd_size(int fd, const Path& path) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) fail(errno, "inspect", path);
  return static_cast<std::uint64_t>(st.st_size);
}

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(UniqueFd fd, Path path)
      : fd_(std::move(fd)), path_(std::move(path)), size_(fd_size(fd_.get(), path_)) {}

  std::size_t read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const override {
    return read_fd(fd_.get(), offset, buffer, path_);
  }
  std::uint64_t size() const override { return size_; }
  const Path& path() const override { return path_; }
  void drop_cache(std::uint64_t offset, std::uint64_t length) const override {
    ::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(length),
                    POSIX_FADV_DONTNEED);
  }

 private:
  UniqueFd fd_;
  Path path_;
  std::uint64_t size_;
};

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(UniqueFd fd, Path path)
      : fd_(std::move(fd)), path_(std::move(path)), size_(fd_size(fd_.get(), path_)) {}

  void write(ByteView bytes) override { write_at(size_, bytes); }
  void write_at(std::uint64_t offset, ByteView bytes) override {
    write_fd(fd_.get(), offset, bytes, path_);
    size_ = std::max(size_, offset + bytes.size());
  }
  void truncate(std::uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) fail(errno, "truncate", path_);
    size_ = size;
  }
  void sync() override {
    if (::fdatasync(fd_.get()) != 0) fail(errno, "sync", path_);
  }
  std::uint64_t size() const override { return size_; }

 private:
  UniqueFd fd_;
  Path path_;
  std::uint64_t size_;
};

class PosixAnonymousFile final : public AnonymousFile {
 public:
  // `hidden_name` is empty when the kernel made the file without a name.
  PosixAnonymousFile(UniqueFd fd, Path directory, Path hidden_name)
      : fd_(std::move(fd)), directory_(std::move(directory)), hidden_(std::move(hidden_name)) {}
  ~PosixAnonymousFile() override {
    if (!hidden_.empty()) ::unlink(hidden_.c_str());
  }

  void write(ByteView bytes) override { write_at(size_, bytes); }
  void write_at(std::uint64_t offset, ByteView bytes) override {
    write_fd(fd_.get(), offset, bytes, directory_);
    size_ = std::max(size_, offset + bytes.size());
  }
  void truncate(std::uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) fail(errno, "truncate", directory_);
    size_ = size;
  }
  void sync() override {
    if (::fdatasync(fd_.get()) != 0) fail(errno, "sync", directory_);
  }
  std::uint64_t size() const override { return size_; }
  std::size_t read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const override {
    return read_fd(fd_.get(), offset, buffer, directory_);
  }
  void discard(std::uint64_t offset, std::uint64_t length) override {
    ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(length));
  }
  bool publish(const Path& path) override {
    int result = 0;
    if (hidden_.empty()) {
      const std::string self = fmt::format("/proc/self/fd/{}", fd_.get());
      result = ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
    } else {
      result = ::link(hidden_.c_str(), path.c_str());
    }
    if (result != 0 && errno != EEXIST) fail(errno, "create", path);
    return result == 0;
  }

 private:
  UniqueFd fd_;
  Path directory_;
  Path hidden_;
  std::uint64_t size_ = 0;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  UniqueFd fd_;  // closing releases the lock
};

FileStatus to_status(const struct stat& st) {
  FileStatus status;
  if (S_ISREG(st.st_mode)) status.kind = FileKind::regular;
  if (S_ISDIR(st.st_mode)) status.kind = FileKind::directory;
  if (S_ISLNK(st.st_mode)) status.kind = FileKind::symlink;
  status.size = static_cast<std::uint64_t>(st.st_size);
  status.inode = st.st_ino;
  status.device = st.st_dev;
  status.mtime_ns = st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec;
  status.ctime_ns = st.st_ctim.tv_sec * 1'000'000'000LL + st.st_ctim.tv_nsec;
  status.mode = st.st_mode & 07777U;
  status.owner = st.st_uid;
  return status;
}

class PosixFileSystem final : public FileSystem {
 public:
  std::unique_ptr<ReadableFile> open(const Path& path) override {
    UniqueFd fd(retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
    if (!fd) fail_reading(errno, path);
    return std::make_unique<PosixReadableFile>(std::move(fd), path);
  }

  std::unique_ptr<WritableFile> open_writable(const Path& path) override {
    UniqueFd fd(retry_interrupted(
        [&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644); }));
    if (!fd) fail(errno, "write", path);
    return std::make_unique<PosixWritableFile>(std::move(fd), path);
  }

  std::unique_ptr<AnonymousFile> create_anonymous(const Path& directory) override {
    UniqueFd fd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644));
    if (fd) return std::make_unique<PosixAnonymousFile>(std::move(fd), directory, Path{});
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
      fail(errno, "create a file in", directory);
    }
    static std::atomic<unsigned> counter{0};
    const Path hidden = directory / fmt::format(".tmp-{}-{}", ::getpid(), counter.fetch_add(1) + 1);
    fd = UniqueFd(::open(hidden.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd) fail(errno, "create a file in", directory);
    return std::make_unique<PosixAnonymousFile>(std::move(fd), directory, hidden);
  }

  std::optional<FileStatus> status(const Path& path) override {
    struct stat st {};
    if (::lstat(path.c_str(), &st) == 0) return to_status(st);
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    fail(errno, "inspect", path);
  }

  std::vector<std::string> list(const Path& directory) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), ::closedir);
    if (!dir) fail_reading(errno, directory);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) fail(errno, "list", directory);
    std::ranges::sort(names);
    return names;
  }

  std::string read_symlink(const Path& path) override {
    std::error_code error;
    const Path target = std::filesystem::read_symlink(path, error);
    if (error) fail(error.value(), "read link", path);
    return target.string();
  }

  void create_directories(const Path& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) fail(error.value(), "create directory", path);
  }

  void rename(const Path& from, const Path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) fail(errno, "rename to", to);
  }

  void remove(const Path& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail(errno, "remove", path);
  }

  void remove_all(const Path& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) fail(error.value(), "remove", path);
  }

  void sync_directory(const Path& directory) override {
    const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) fail(errno, "open", directory);
    if (::fsync(fd.get()) != 0) fail(errno, "sync", directory);
  }

  void sync_file_system(const Path& path) override {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) fail(errno, "open", path);
    if (::syncfs(fd.get()) != 0) fail(errno, "sync", path);
  }

  std::uint64_t free_bytes(const Path& path) override {
    struct statvfs vfs {};
    if (::statvfs(path.c_str(), &vfs) != 0) fail(errno, "inspect", path);
    return static_cast<std::uint64_t>(vfs.f_bavail) * vfs.f_frsize;
  }

  bool writable(const Path& directory) override {
    return ::faccessat(AT_FDCWD, directory.c_str(), W_OK, AT_EACCESS) == 0;
  }

  std::unique_ptr<FileLock> lock(const Path& path) override {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!fd) fail(errno, "lock", path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) fail(errno, "lock", path);
      throw_busy(fd.get(), path);
    }
    // Always the same length, so that a later writer needs no new disk block: gc must start on a
    // full disk. The number is for messages only.
    const std::string owner = fmt::format("{:<10}\n", ::getpid());
    [[maybe_unused]] const auto written = ::pwrite(fd.get(), owner.data(), owner.size(), 0);
    return std::make_unique<PosixFileLock>(std::move(fd));
  }

 private:
  [[noreturn]] static void throw_busy(int fd, const Path& path) {
    Bytes owner(32);
    owner.resize(read_fd(fd, 0, owner, path));
    while (!owner.empty() && (owner.back() == '\n' || owner.back() == ' ')) owner.pop_back();
    throw Error(ErrorCode::busy,
                fmt::format("another process (pid {}) holds {}", as_text(owner), path.string()),
                "Wait until it ends, then run the same command again.");
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem fs;
  return fs;
}

}  // namespace bundle
