// docker-archive and oci-archive files: opened, walked and read. Anything but Error is a bug.
// The input is served by a file system of one file, so that nothing touches the disk.
#include <algorithm>

#include "bundle/error.h"
#include "oci/layout.h"
#include "oci/walk.h"

namespace {

using namespace bundle;

class MemoryFile final : public ReadableFile {
 public:
  explicit MemoryFile(ByteView bytes) : bytes_(bytes) {}
  std::size_t read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const override {
    if (offset >= bytes_.size()) return 0;
    const ByteView part =
        bytes_.subspan(offset).first(std::min<std::size_t>(buffer.size(), bytes_.size() - offset));
    std::ranges::copy(part, buffer.begin());
    return part.size();
  }
  std::uint64_t size() const override { return bytes_.size(); }
  const Path& path() const override { return path_; }

 private:
  ByteView bytes_;
  Path path_ = "input.tar";
};

[[noreturn]] void refuse() {
  throw Error(ErrorCode::internal, "not part of this test");
}

class OneFile final : public FileSystem {
 public:
  explicit OneFile(ByteView bytes) : bytes_(bytes) {}
  std::unique_ptr<ReadableFile> open(const Path&) override {
    return std::make_unique<MemoryFile>(bytes_);
  }
  std::unique_ptr<WritableFile> open_writable(const Path&) override { refuse(); }
  std::unique_ptr<AnonymousFile> create_anonymous(const Path&) override { refuse(); }
  std::optional<FileStatus> status(const Path&) override { refuse(); }
  std::vector<std::string> list(const Path&) override { refuse(); }
  std::string read_symlink(const Path&) override { refuse(); }
  void create_directories(const Path&) override { refuse(); }
  void rename(const Path&, const Path&) override { refuse(); }
  void remove(const Path&) override { refuse(); }
  void remove_all(const Path&) override { refuse(); }
  void sync_directory(const Path&) override { refuse(); }
  void sync_file_system(const Path&) override { refuse(); }
  std::uint64_t free_bytes(const Path&) override { refuse(); }
  bool writable(const Path&) override { refuse(); }
  std::unique_ptr<FileLock> lock(const Path&) override { refuse(); }

 private:
  ByteView bytes_;
};

class Discard final : public Sink {
 public:
  void write(ByteView) override {}
};

void read_everything(FileSystem& fs, const char* reference) {
  try {
    const auto source = oci::open_local_source(fs, reference, {});
    Discard discard;
    for (const oci::Descriptor& blob : oci::walk(*source).blobs) {
      copy_all(*source->open_blob(blob), discard);
    }
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  OneFile fs({data, size});
  read_everything(fs, "docker-archive:input.tar");
  read_everything(fs, "oci-archive:input.tar");
  return 0;
}
