#include "oci/text_tree.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "codec/gzip_reader.h"
#include "codec/gzip_writer.h"
#include "codec/tar.h"
#include "io/safe_path.h"

namespace bundle::oci {
namespace {

constexpr std::uint32_t kMode = 0644;

[[noreturn]] void fail_limit(std::string_view what) {
  throw Error(
      ErrorCode::limit,
      fmt::format("{} holds more than {} files or {} bytes", what, kMaxTreeFiles, kMaxTreeBytes),
      "It is for manifests and templates only: take the rest out of it.");
}

[[noreturn]] void fail_path(std::string_view what, std::string_view path, std::string_view reason) {
  throw Error(ErrorCode::unsafe_path, fmt::format("{}: '{}' {}", what, path.substr(0, 300), reason),
              "Keep plain files and folders in it, without links.");
}

class FolderReader {
 public:
  FolderReader(FileSystem& fs, const Path& root) : fs_(fs), root_(root) {}

  TextTree read() {
    collect("", 0);
    return std::move(tree_);
  }

 private:
  void collect(const std::string& folder, std::size_t depth) {
    if (depth > kMaxTreeDepth) fail_path(root_.string(), folder, "lies too deep");
    for (const std::string& name : fs_.list(root_ / folder)) {
      if (name.starts_with('.')) continue;
      const std::string path = folder.empty() ? name : folder + "/" + name;
      const auto status = fs_.status(root_ / path);
      if (!status) continue;  // removed since it was listed
      if (status->kind == FileKind::directory) {
        collect(path, depth + 1);
        continue;
      }
      if (status->kind != FileKind::regular || !is_safe_relative_path(path)) {
        fail_path(root_.string(), path, "is no plain file");
      }
      bytes_ += status->size;
      if (tree_.size() == kMaxTreeFiles || bytes_ > kMaxTreeBytes) fail_limit(root_.string());
      tree_.emplace(path, read_text_file(fs_, root_ / path, kMaxTreeBytes));
    }
  }

  FileSystem& fs_;
  const Path& root_;
  TextTree tree_;
  std::uint64_t bytes_ = 0;
};

class TarReader final : public codec::TarVisitor {
 public:
  explicit TarReader(std::string_view what) : what_(what) {}

  void on_member(const codec::TarMember& member, ByteView) override {
    body_ = nullptr;
    if (member.type == '5') return;
    if (!member.is_file() || !is_safe_relative_path(member.path)) {
      fail_path(what_, member.path, "is no plain file with a safe path");
    }
    if (tree_.size() == kMaxTreeFiles) fail_limit(what_);
    const auto [at, added] = tree_.try_emplace(member.path);
    if (!added) {
      throw Error(ErrorCode::name_collision,
                  fmt::format("{}: '{}' is in it twice", what_, member.path.substr(0, 300)),
                  "Pack it again.");
    }
    body_ = &at->second;
  }
  void on_body(ByteView bytes) override {
    if (body_ != nullptr) *body_ += as_text(bytes);
  }
  void on_padding(ByteView) override {}
  void on_tail(ByteView) override {}

  TextTree take() { return std::move(tree_); }

 private:
  std::string_view what_;
  TextTree tree_;
  std::string* body_ = nullptr;
};

void write_tar(const TextTree& tree, Sink& sink) {
  codec::TarWriter tar(sink);
  for (const auto& [path, text] : tree) {
    MemorySource body(as_bytes(text));
    tar.add_file(path, kMode, 0, text.size(), body);
  }
  tar.finish();
}

// Headers and padding come on top of the files.
constexpr std::uint64_t kMaxPackedBytes = 2 * kMaxTreeBytes + kMaxTreeFiles * 4096;

}  // namespace

TextTree read_folder_tree(FileSystem& fs, const Path& folder) {
  return FolderReader(fs, folder).read();
}

TextTree read_tar_gz_tree(Source& packed, std::string_view what) {
  codec::GzipReader plain(packed, kMaxPackedBytes, what);
  TarReader reader(what);
  codec::TarScanner scanner(reader, codec::TarRules::strict);
  copy_all(plain, scanner);
  scanner.finish();
  if (const auto& fault = scanner.fault()) {
    throw Error(ErrorCode::archive_invalid,
                fmt::format("{}: not a sound tar archive at inflated byte {}: {}", what,
                            fault->offset, fault->reason),
                "Make or fetch it again.");
  }
  return reader.take();
}

Bytes pack_tar_tree(const TextTree& tree) {
  MemorySink sink(kMaxPackedBytes);
  write_tar(tree, sink);
  return sink.take();
}

Bytes pack_tar_gz_tree(const TextTree& tree) {
  MemorySink sink(kMaxPackedBytes);
  codec::GzipWriter gzip(sink);
  write_tar(tree, gzip);
  gzip.finish();
  return sink.take();
}

}  // namespace bundle::oci
