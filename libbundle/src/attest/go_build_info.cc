#include "attest/go_build_info.h"

#include <algorithm>

#include "attest/language_packages.h"

namespace bundle::attest {
namespace {

constexpr std::string_view kMagic = "\xFF Go buildinf:";
constexpr std::size_t kBuildInfoAlignment = 16;
constexpr std::size_t kHeaderSize = 32;
constexpr std::size_t kFlagsAt = 15;
constexpr std::uint8_t kInlineFlag = 2;
// Marks of 16 bytes around the module text, for tools that look for it in memory.
constexpr std::size_t kModuleMark = 16;
constexpr std::size_t kMaxVersionText = 256;

// A text with its unsigned LEB128 length in front. `wait` is set when `bytes` is too short to tell.
std::optional<std::string_view> take_text(ByteView& bytes, std::size_t limit, bool& wait) {
  std::uint64_t size = 0;
  std::size_t used = 0;
  for (;; ++used) {
    if (used == 4) return std::nullopt;  // longer than any limit here
    if (used == bytes.size()) {
      wait = true;
      return std::nullopt;
    }
    size |= static_cast<std::uint64_t>(bytes[used] & 0x7F) << (7 * used);
    if ((bytes[used] & 0x80) == 0) break;
  }
  ++used;
  if (size > limit) return std::nullopt;
  if (bytes.size() - used < size) {
    wait = true;
    return std::nullopt;
  }
  const std::string_view text = as_text(bytes.subspan(used, static_cast<std::size_t>(size)));
  bytes = bytes.subspan(used + static_cast<std::size_t>(size));
  return text;
}

std::string_view next_field(std::string_view& line) {
  const std::size_t end = std::min(line.find('\t'), line.size());
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

Package module(std::string_view path, std::string_view version) {
  Package package = package_of_type("golang");
  const std::size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) package.space = path.substr(0, slash);
  package.name = path.substr(slash + 1);  // npos + 1 is 0
  if (version != "(devel)") package.version = version;
  return package;
}

}  // namespace

PackageList parse_go_modules(std::string_view text, std::string_view go_version) {
  PackageList list;
  if (go_version.starts_with("go")) {
    go_version.remove_prefix(2);
    add_package(list, module("stdlib", go_version.substr(0, go_version.find(' '))));
  }
  Package pending;  // a replacement may follow in the next line
  const auto flush = [&] {
    if (!pending.name.empty()) add_package(list, std::move(pending));
    pending = Package();
  };
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view kind = next_field(line);
    const bool replaces = kind == "=>" && !pending.name.empty();
    if (kind != "mod" && kind != "dep" && !replaces) continue;
    const std::string_view path = next_field(line);
    const std::string_view version = next_field(line);
    if (!replaces) flush();
    pending = module(path, version);
  }
  flush();
  return list;
}

void GoBuildInfoFinder::write(ByteView bytes) {
  // In pieces, so that a large write is searched where it lies and held only for a piece.
  constexpr std::size_t kPiece = 64 * 1024;
  while (!bytes.empty() && !done_) {
    const ByteView piece = bytes.first(std::min(bytes.size(), kPiece));
    held_.insert(held_.end(), piece.begin(), piece.end());
    bytes = bytes.subspan(piece.size());
    search();
  }
}

void GoBuildInfoFinder::search() {
  std::size_t at = 0;
  bool wait = false;
  for (; !done_ && !wait; ++at) {
    at = as_text(held_).find(kMagic, at);
    if (at == std::string_view::npos) {
      // Keep what may be the start of the magic.
      at = held_.size() - std::min(held_.size(), kMagic.size() - 1);
      break;
    }
    // False ones are passed over: programs that look for build information have the magic among
    // their constants.
    wait = read_at(at);
    if (wait) break;
  }
  if (done_) at = held_.size();
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(at));
  offset_ += at;
}

// Reads what begins with the magic there; true when more bytes are needed to tell.
bool GoBuildInfoFinder::read_at(std::size_t at) {
  if (held_.size() - at < kHeaderSize) return true;
  if ((offset_ + at) % kBuildInfoAlignment != 0 || (held_[at + kFlagsAt] & kInlineFlag) == 0)
    return false;
  bool wait = false;
  ByteView rest = ByteView(held_).subspan(at + kHeaderSize);
  const auto version = take_text(rest, kMaxVersionText, wait);
  const auto modules = version ? take_text(rest, kMaxGoModuleText, wait) : std::nullopt;
  if (!modules) return wait;
  std::string_view text = *modules;
  if (text.size() >= 2 * kModuleMark)
    text = text.substr(kModuleMark, text.size() - 2 * kModuleMark);
  result_ = parse_go_modules(text, *version);
  done_ = true;
  return false;
}

std::optional<PackageList> GoBuildInfoFinder::finish() {
  return std::move(result_);
}

}  // namespace bundle::attest
