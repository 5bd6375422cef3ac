#include "attest/layer_scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "attest/go_build_info.h"
#include "codec/tar.h"
#include "codec/zstd_inflater.h"

namespace bundle::attest {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kElfMagic =
    "\x7F"
    "ELF";
constexpr std::uint32_t kExecutable = 0111;
constexpr std::size_t kSniffed = 4;

std::string_view plain_path(std::string_view path) {
  while (path.starts_with("./") || path.starts_with('/'))
    path.remove_prefix(path[0] == '.' ? 2 : 1);
  return path;
}

}  // namespace

// A tar, or one program.
class BlobScanner::Content final : public Sink, private codec::TarVisitor {
 public:
  Content() : tar_(*this) {}

  void write(ByteView bytes) override {
    if (start_.size() < kSniffed) {
      const std::size_t part = std::min(bytes.size(), kSniffed - start_.size());
      start_.append(as_text(bytes.first(part)));
      if (start_ == kElfMagic) program_.emplace().write(as_bytes(start_));
      if (program_) bytes = bytes.subspan(part);
    }
    if (program_) return program_->write(bytes);
    // Until it is known whether it is a program the tar scanner holds the bytes anyway.
    tar_.write(bytes);
  }

  BlobContents finish() {
    if (program_) {
      if (auto list = program_->finish()) contents_.files.push_back({{}, false, *std::move(list)});
    } else {
      tar_.finish();
      end_member();
      if (members_ > 0 && tar_.fault()) {
        problem(fmt::format("not a whole tar archive: {}", tar_.fault()->reason));
      }
    }
    return std::move(contents_);
  }

  void problem(std::string text) { contents_.problems.push_back(std::move(text)); }

 private:
  void on_member(const codec::TarMember& member, ByteView /*header*/) override {
    end_member();
    ++members_;
    const std::string_view path = plain_path(member.path);
    if (path.size() > kMaxPackagePath || note_whiteout(path) || !member.is_file()) return;
    member_ = member;
    member_->path = path;
    kind_ = package_file_kind(path);
    if (kind_ && member.body_size > package_file_limit(*kind_)) return too_large();
    if (kind_) body_.reserve(static_cast<std::size_t>(member.body_size));
    may_be_program_ = !kind_ && (member.mode & kExecutable) != 0;
  }

  void on_body(ByteView bytes) override {
    if (!member_) return;
    if (kind_) {
      body_.append(as_text(bytes));
    } else if (may_be_program_) {
      if (!go_) bytes = sniff_program(bytes);
      if (go_) go_->write(bytes);
    }
  }

  // Takes the first bytes of a member; returns the rest.
  ByteView sniff_program(ByteView bytes) {
    const std::size_t part = std::min(bytes.size(), kSniffed - body_.size());
    body_.append(as_text(bytes.first(part)));
    if (body_ == kElfMagic) {
      go_.emplace().write(as_bytes(body_));
    } else {
      may_be_program_ = body_.size() < kSniffed;
    }
    return bytes.subspan(part);
  }

  void on_padding(ByteView /*bytes*/) override {}
  void on_tail(ByteView /*bytes*/) override { end_member(); }

  // True for a whiteout, which is no file of the image.
  bool note_whiteout(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    const std::string_view name = path.substr(slash + 1);  // npos + 1 is 0
    if (!name.starts_with(kWhiteout)) return false;
    const std::string_view folder =
        slash == std::string_view::npos ? "" : path.substr(0, slash + 1);
    if (contents_.removed.size() + contents_.emptied.size() >= kMaxWhiteouts) {
      if (!too_many_whiteouts_) problem(fmt::format("more than {} whiteouts", kMaxWhiteouts));
      too_many_whiteouts_ = true;
    } else if (name == kOpaque) {
      contents_.emptied.emplace_back(folder);
    } else {
      contents_.removed.push_back(std::string(folder) + std::string(name.substr(kWhiteout.size())));
    }
    return true;
  }

  void too_large() {
    keep({member_->path, false, {{}, "larger than what is read of such a file"}});
    member_.reset();
    kind_.reset();
  }

  void end_member() {
    if (member_ && kind_) {
      keep({member_->path, kind_ == PackageFile::os_release,
            parse_package_file(*kind_, member_->path, std::move(body_))});
    } else if (member_ && go_) {
      if (auto list = go_->finish()) keep({member_->path, false, *std::move(list)});
    }
    member_.reset();
    kind_.reset();
    go_.reset();
    may_be_program_ = false;
    body_.clear();
  }

  void keep(FoundFile file) {
    if (contents_.files.size() < kMaxLayerFiles) {
      contents_.files.push_back(std::move(file));
    } else if (!too_many_files_) {
      too_many_files_ = true;
      problem(fmt::format("more than {} package files", kMaxLayerFiles));
    }
  }

  codec::TarScanner tar_;
  std::string start_;
  std::optional<GoBuildInfoFinder> program_;  // the blob itself
  BlobContents contents_;
  std::uint64_t members_ = 0;
  bool too_many_files_ = false;
  bool too_many_whiteouts_ = false;
  // The member under way, when it is of interest.
  std::optional<codec::TarMember> member_;
  std::optional<PackageFile> kind_;
  bool may_be_program_ = false;
  std::string body_;
  std::optional<GoBuildInfoFinder> go_;
};

// Takes off zstd, which `make` keeps packed and so does not inflate itself.
class BlobScanner::Unpacker {
 public:
  void write(ByteView bytes) {
    if (!decided_) {
      const std::size_t part = std::min(bytes.size(), kSniffed - start_.size());
      start_.insert(start_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
      bytes = bytes.subspan(part);
      if (start_.size() < kSniffed) return;
      decide();
    }
    pass(bytes);
  }

  BlobContents finish() {
    if (!decided_) decide();
    if (zstd_ && !zstd_->finish()) content_.problem("not a whole zstd file");
    return content_.finish();
  }

 private:
  void decide() {
    decided_ = true;
    if (codec::is_zstd(start_)) zstd_.emplace(content_);
    pass(start_);
  }
  void pass(ByteView bytes) {
    if (zstd_) {
      zstd_->write(bytes);
    } else {
      content_.write(bytes);
    }
  }

  Content content_;
  bool decided_ = false;
  Bytes start_;
  std::optional<codec::ZstdInflater> zstd_;
};

BlobScanner::BlobScanner() : unpacker_(std::make_unique<Unpacker>()) {}
BlobScanner::~BlobScanner() = default;
void BlobScanner::write(ByteView bytes) {
  unpacker_->write(bytes);
}
BlobContents BlobScanner::finish() {
  return unpacker_->finish();
}

}  // namespace bundle::attest
