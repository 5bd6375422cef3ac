// A file system that fails from the n-th call on, as after a power cut or on a full disk.
#pragma once

#include <utility>

#include "bundle/error.h"
#include "io/file_system.h"

namespace bundle {

// Passes everything on to the real file system and counts the calls that change something. From
// call number `fail_at` on every such call throws: nothing more reaches the disk.
class FaultFileSystem : public FileSystem {
 public:
  FaultFileSystem(std::uint64_t fail_at, ErrorCode code) : fail_at_(fail_at), code_(code) {}

  std::uint64_t changes() const { return changes_; }

  std::unique_ptr<ReadableFile> open(const Path& path) override { return real_.open(path); }
  std::unique_ptr<WritableFile> open_writable(const Path& path) override {
    step();
    return std::make_unique<Writable>(*this, real_.open_writable(path));
  }
  std::unique_ptr<AnonymousFile> create_anonymous(const Path& directory) override {
    step();
    return std::make_unique<Anonymous>(*this, real_.create_anonymous(directory));
  }
  std::optional<FileStatus> status(const Path& path) override { return real_.status(path); }
  std::vector<std::string> list(const Path& directory) override { return real_.list(directory); }
  std::string read_symlink(const Path& path) override { return real_.read_symlink(path); }
  void create_directories(const Path& path) override { step(), real_.create_directories(path); }
  void rename(const Path& from, const Path& to) override { step(), real_.rename(from, to); }
  void remove(const Path& path) override { step(), real_.remove(path); }
  void remove_all(const Path& path) override { step(), real_.remove_all(path); }
  void sync_directory(const Path& directory) override { step(), real_.sync_directory(directory); }
  void sync_file_system(const Path& path) override { step(), real_.sync_file_system(path); }
  std::uint64_t free_bytes(const Path& path) override { return real_.free_bytes(path); }
  bool writable(const Path& directory) override { return real_.writable(directory); }
  std::unique_ptr<FileLock> lock(const Path& path) override { return real_.lock(path); }

 private:
  class Writable final : public WritableFile {
   public:
    Writable(FaultFileSystem& fs, std::unique_ptr<WritableFile> file)
        : fs_(fs), file_(std::move(file)) {}
    // The disk takes half of what is written when it fails.
    void write(ByteView bytes) override {
      if (fs_.next_fails()) file_->write(bytes.first(bytes.size() / 2));
      fs_.step(), file_->write(bytes);
    }
    void write_at(std::uint64_t offset, ByteView bytes) override {
      fs_.step(), file_->write_at(offset, bytes);
    }
    void truncate(std::uint64_t size) override { fs_.step(), file_->truncate(size); }
    void sync() override { fs_.step(), file_->sync(); }
    std::uint64_t size() const override { return file_->size(); }

   private:
    FaultFileSystem& fs_;
    std::unique_ptr<WritableFile> file_;
  };

  class Anonymous final : public AnonymousFile {
   public:
    Anonymous(FaultFileSystem& fs, std::unique_ptr<AnonymousFile> file)
        : fs_(fs), file_(std::move(file)) {}
    void write(ByteView bytes) override { fs_.step(), file_->write(bytes); }
    void write_at(std::uint64_t offset, ByteView bytes) override {
      fs_.step(), file_->write_at(offset, bytes);
    }
    void truncate(std::uint64_t size) override { fs_.step(), file_->truncate(size); }
    void sync() override { fs_.step(), file_->sync(); }
    std::uint64_t size() const override { return file_->size(); }
    bool publish(const Path& path) override { return fs_.step(), file_->publish(path); }
    std::size_t read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const override {
      return file_->read_at(offset, buffer);
    }
    void discard(std::uint64_t offset, std::uint64_t length) override {
      file_->discard(offset, length);
    }

   private:
    FaultFileSystem& fs_;
    std::unique_ptr<AnonymousFile> file_;
  };

  bool next_fails() const { return changes_ + 1 == fail_at_; }
  void step() {
    if (++changes_ >= fail_at_)
      throw Error(code_, "the test made the disk fail", "This is a test.");
  }

  FileSystem& real_ = posix_file_system();
  std::uint64_t fail_at_;
  ErrorCode code_;
  std::uint64_t changes_ = 0;
};

}  // namespace bundle
