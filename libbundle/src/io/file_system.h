// The one door to the file system. All file IO of the library goes through this seam, so that
// tests can put a faulty one behind it (lost unsynced data, ENOSPC, EIO, short writes).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "io/stream.h"

namespace bundle {

using Path = std::filesystem::path;

// An open file for reading at any offset. Thread-safe: reads carry their own offset.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  // Reads up to buffer.size() bytes at `offset`; fewer only at the end of the file.
  // Throws Error{media_unreadable} when the device fails or went away.
  virtual std::size_t read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const = 0;
  virtual std::uint64_t size() const = 0;
  virtual const Path& path() const = 0;
  // Tells the kernel that the given range will not be needed again.
  virtual void drop_cache(std::uint64_t /*offset*/, std::uint64_t /*length*/) const {}
};

// An open file for appending and patching. Not thread-safe.
class WritableFile : public Sink {
 public:
  // Appends at the end.
  void write(ByteView bytes) override = 0;
  virtual void write_at(std::uint64_t offset, ByteView bytes) = 0;
  virtual void truncate(std::uint64_t size) = 0;
  // Bytes are on stable storage afterwards.
  virtual void sync() = 0;
  virtual std::uint64_t size() const = 0;
};

// A file without a name: it vanishes with this object or with the process unless published.
class AnonymousFile : public WritableFile {
 public:
  // Gives the file its name. When the name is taken already the existing file stays and this one
  // is dropped: names are digests here, so both have the same bytes. Returns false then.
  // Durable only after sync_directory() of the parent.
  virtual bool publish(const Path& path) = 0;
  // Reads back what was written (for hashing a resumed file, or assembling parts).
  virtual std::size_t read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const = 0;
  // Gives the disk space of a range back; it reads as zeros afterwards. Best effort.
  virtual void discard(std::uint64_t offset, std::uint64_t length) = 0;
};

// Held as long as the object lives.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class FileKind : std::uint8_t { regular, directory, symlink, other };

struct FileStatus {
  FileKind kind = FileKind::other;
  std::uint64_t size = 0;
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  std::uint32_t mode = 0;   // permission bits
  std::uint32_t owner = 0;  // user id
};

// Paths are used as given (absolute or relative to the working directory). Thread-safe.
// Unless said otherwise every call throws Error{not_found|no_space|read_only|media_unreadable|
// io_error} naming the path.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual std::unique_ptr<ReadableFile> open(const Path& path) = 0;
  // Opens or creates a named file for writing, keeping its content.
  virtual std::unique_ptr<WritableFile> open_writable(const Path& path) = 0;
  // In `directory`, by O_TMPFILE where the file system has it, else by a hidden name.
  virtual std::unique_ptr<AnonymousFile> create_anonymous(const Path& directory) = 0;

  // Nothing when the path does not exist. Does not follow a symlink at the end.
  virtual std::optional<FileStatus> status(const Path& path) = 0;
  // Names (not paths) in bytewise order; hidden ones too; no "." and "..".
  virtual std::vector<std::string> list(const Path& directory) = 0;
  virtual std::string read_symlink(const Path& path) = 0;

  virtual void create_directories(const Path& path) = 0;
  // Replaces `to` atomically.
  virtual void rename(const Path& from, const Path& to) = 0;
  // A missing file is no error.
  virtual void remove(const Path& path) = 0;
  virtual void remove_all(const Path& path) = 0;
  virtual void sync_directory(const Path& directory) = 0;
  // All data of the file system that holds `path` is on stable storage afterwards.
  virtual void sync_file_system(const Path& path) = 0;
  virtual std::uint64_t free_bytes(const Path& path) = 0;
  virtual bool writable(const Path& directory) = 0;

  // Takes an exclusive advisory lock on `path` (created when missing), which holds the owner's
  // process id for messages. Throws Error{busy} when another process has it.
  virtual std::unique_ptr<FileLock> lock(const Path& path) = 0;
};

// The real one.
FileSystem& posix_file_system();

// Whole-file helpers over the seam.

// Throws Error{limit} when the file is larger than `limit` bytes.
Bytes read_file(FileSystem& fs, const Path& path, std::uint64_t limit);
std::string read_text_file(FileSystem& fs, const Path& path, std::uint64_t limit);
// Written beside its final name, synced, renamed over it, directory synced: readers and crashes
// see the old or the new content and nothing else.
void write_file_atomically(FileSystem& fs, const Path& path, ByteView content);

// Absolute, and without symbolic links on the way. Throws Error{not_found}.
Path real_path(const Path& path);

// Streams a file from the start.
class FileSource final : public Source {
 public:
  explicit FileSource(const ReadableFile& file) : file_(file) {}
  std::size_t read(std::span<std::uint8_t> buffer) override;

 private:
  const ReadableFile& file_;
  std::uint64_t offset_ = 0;
};

}  // namespace bundle
