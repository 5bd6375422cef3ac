#include "oci/layout_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "bundle/error.h"
#include "codec/tar.h"
#include "io/safe_path.h"

namespace bundle::oci {
namespace {

class RangeSource final : public Source {
 public:
  explicit RangeSource(FileRange range) : range_(std::move(range)) {}

  std::size_t read(std::span<std::uint8_t> buffer) override {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), range_.size - done_);
    if (wanted == 0) return 0;
    const std::size_t count = range_.file->read_at(range_.offset + done_, buffer.first(wanted));
    if (count == 0) {
      throw Error(ErrorCode::io_error,
                  fmt::format("{} became shorter while it was read", range_.file->path().string()),
                  "Run the command again when nothing writes to the file.");
    }
    done_ += count;
    return count;
  }

 private:
  FileRange range_;
  std::uint64_t done_ = 0;
};

class VerifiedSource final : public Source {
 public:
  VerifiedSource(FileRange range, const Digest& digest, std::string what)
      : left_(range.size), digest_(digest), what_(std::move(what)), source_(std::move(range)) {
    if (left_ == 0) check();
  }

  std::size_t read(std::span<std::uint8_t> buffer) override {
    const std::size_t count = source_.read(buffer);
    hash_.write(buffer.first(count));
    left_ -= count;
    if (count > 0 && left_ == 0) check();
    return count;
  }

 private:
  void check() {
    const Digest actual = hash_.finish();
    if (actual == digest_) return;
    throw Error(ErrorCode::blob_mismatch,
                fmt::format("{}: blob {} hashes to {}", what_, digest_.text(), actual.text()),
                "The file is damaged: get the image again from where it was made.");
  }

  std::uint64_t left_;
  Digest digest_;
  std::string what_;
  RangeSource source_;
  Sha256 hash_;
};

[[noreturn]] void fail_unsafe(const std::string& root, std::string_view path,
                              std::string_view reason) {
  throw Error(ErrorCode::unsafe_path, fmt::format("{}: '{}' {}", root, path.substr(0, 300), reason),
              "Get the image from a source that you trust.");
}

class DirectoryFiles final : public LayoutFiles {
 public:
  DirectoryFiles(FileSystem& fs, Path root) : fs_(fs), root_(std::move(root)) {}

  std::optional<FileRange> open(const std::string& path) const override {
    const Path relative = join_safely({}, path, name());
    Path at = root_;
    FileKind kind = FileKind::directory;
    for (const Path& part : relative) {
      if (kind != FileKind::directory) return std::nullopt;
      at /= part;
      const auto status = fs_.status(at);
      if (!status) return std::nullopt;
      kind = status->kind;
      if (kind == FileKind::symlink) {
        fail_unsafe(name(), at.lexically_relative(root_).string(), "is a symbolic link");
      }
    }
    if (kind != FileKind::regular) fail_unsafe(name(), path, "is no regular file");
    std::shared_ptr<const ReadableFile> file = fs_.open(at);
    const std::uint64_t size = file->size();
    return FileRange{std::move(file), 0, size};
  }
  std::string name() const override { return root_.string(); }

 private:
  FileSystem& fs_;
  Path root_;
};

// "./blobs/" and "blobs" are one name.
std::string_view member_name(std::string_view path) {
  while (path.starts_with("./")) path.remove_prefix(2);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path == "." ? std::string_view{} : path;
}

class ArchiveFiles final : public LayoutFiles {
 public:
  ArchiveFiles(FileSystem& fs, const Path& path) : file_(fs.open(path)) {
    for (codec::TarMember& member : codec::index_tar(*file_)) add(std::move(member));
  }

  std::optional<FileRange> open(const std::string& path) const override {
    std::string at = path;
    for (std::size_t links = 0; links <= kMaxArchiveLinks; ++links) {
      const auto found = members_.find(at);
      if (found == members_.end()) return std::nullopt;
      const Entry& entry = found->second;
      if (entry.type == '1') {
        at = member_name(entry.link_target);
      } else if (entry.type == '2') {
        at = (Path(at).parent_path() / entry.link_target).lexically_normal().string();
      } else if (entry.type == '0') {
        return FileRange{file_, entry.offset, entry.size};
      } else {
        fail_unsafe(name(), path, "is no regular file");
      }
    }
    fail_unsafe(name(), path, "leads through too many links");
  }
  std::string name() const override { return file_->path().string(); }

 private:
  struct Entry {
    char type = '0';  // '0' file, '1' hard link, '2' symlink, anything else is never opened
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::string link_target;
  };

  void add(codec::TarMember member) {
    const std::string_view path = member_name(member.path);
    if (path.empty()) return;
    if (!is_safe_relative_path(path)) fail_unsafe(name(), member.path, "leaves the archive");
    const bool file = member.is_file();
    const bool link = member.type == '1' || member.type == '2';
    Entry entry{file ? '0' : (link || member.type == '5' ? member.type : '?'), member.body_offset,
                member.body_size, std::move(member.link_target)};
    const auto [at, is_new] = members_.try_emplace(std::string(path), std::move(entry));
    if (!is_new && (at->second.type != '5' || member.type != '5')) {
      throw Error(ErrorCode::name_collision,
                  fmt::format("{} holds two members named '{}'", name(), path),
                  "Readers would disagree about which one counts: make the archive again.");
    }
  }

  std::shared_ptr<const ReadableFile> file_;
  std::map<std::string, Entry, std::less<>> members_;
};

}  // namespace

std::unique_ptr<Source> range_source(FileRange range) {
  return std::make_unique<RangeSource>(std::move(range));
}

std::unique_ptr<Source> verified_source(FileRange range, const Digest& digest, std::uint64_t size,
                                        std::string what) {
  if (range.size != size) {
    throw Error(ErrorCode::blob_mismatch,
                fmt::format("{}: blob {} has {} bytes where {} are declared", what, digest.text(),
                            range.size, size),
                "The file is damaged: get the image again from where it was made.");
  }
  return std::make_unique<VerifiedSource>(std::move(range), digest, std::move(what));
}

std::unique_ptr<LayoutFiles> directory_files(FileSystem& fs, const Path& root) {
  return std::make_unique<DirectoryFiles>(fs, root);
}

std::unique_ptr<LayoutFiles> archive_files(FileSystem& fs, const Path& file) {
  return std::make_unique<ArchiveFiles>(fs, file);
}

}  // namespace bundle::oci
