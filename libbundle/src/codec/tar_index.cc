#include <fmt/format.h>

#include <array>

#include "bundle/error.h"
#include "codec/tar.h"

namespace bundle::codec {
namespace {

class Collector final : public TarVisitor {
 public:
  explicit Collector(const Path& file) : file_(file) {}

  void on_member(const TarMember& member, ByteView) override {
    names_ += member.path.size() + member.link_target.size();
    if (members_.size() >= kMaxTarIndexMembers || names_ > kMaxTarIndexNames) {
      throw Error(ErrorCode::limit,
                  fmt::format("{} holds more than {} members or {} bytes of names", file_.string(),
                              kMaxTarIndexMembers, kMaxTarIndexNames),
                  "No real image archive is like that: check where it comes from.");
    }
    members_.push_back(member);
  }
  void on_body(ByteView) override {}
  void on_padding(ByteView) override {}
  void on_tail(ByteView) override {}

  std::vector<TarMember> take() { return std::move(members_); }

 private:
  const Path& file_;
  std::uint64_t names_ = 0;
  std::vector<TarMember> members_;
};

[[noreturn]] void fail(const Path& file, std::uint64_t offset, std::string_view reason) {
  throw Error(
      ErrorCode::archive_invalid,
      fmt::format("{}: not a sound tar archive at byte {}: {}", file.string(), offset, reason),
      "Copy the file again or make it again; a compressed archive must be unpacked first "
      "(gzip -d, zstd -d).");
}

// Moves over the content of a member that the file really holds.
bool skip_content(TarScanner& scanner, std::uint64_t file_size) {
  if (scanner.skippable() == 0) return false;
  if (scanner.skippable() > file_size - scanner.offset()) return false;
  scanner.skip(scanner.skippable());
  return true;
}

}  // namespace

std::vector<TarMember> index_tar(const ReadableFile& file) {
  Collector collector(file.path());
  TarScanner scanner(collector, TarRules::strict);
  std::array<std::uint8_t, kTarBlock> block{};
  while (!scanner.ended()) {
    if (skip_content(scanner, file.size())) continue;
    const std::size_t count = scanner.skippable() > 0 ? 0 : file.read_at(scanner.offset(), block);
    if (count == 0) {
      scanner.finish();
      if (!scanner.fault()) fail(file.path(), scanner.offset(), "the end marker is missing");
      break;
    }
    scanner.write(ByteView(block).first(count));
  }
  if (const auto& fault = scanner.fault()) fail(file.path(), fault->offset, fault->reason);
  return collector.take();
}

}  // namespace bundle::codec
