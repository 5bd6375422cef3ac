#include "format/blob_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "bundle/error.h"
#include "format/limits.h"

namespace bundle::format {
namespace {

constexpr std::size_t kDigestText = 71;  // "sha256:" and 64 digits

[[noreturn]] void fail(std::string_view what, std::size_t line, std::string_view reason) {
  throw Error(ErrorCode::statement_invalid, fmt::format("{}: line {}: {}", what, line, reason),
              "The list was made or changed by hand: copy it again from the original.");
}

std::optional<std::uint64_t> parse_size(std::string_view digits) {
  std::uint64_t size = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, failure] = std::from_chars(digits.data(), end, size);
  const bool shortest = digits == "0" || (!digits.empty() && digits.front() != '0');
  if (failure != std::errc{} || stop != end || !shortest || size > kMaxBlobBytes) {
    return std::nullopt;
  }
  return size;
}

}  // namespace

std::string encode_blob_list(std::vector<BlobEntry> blobs) {
  std::ranges::sort(blobs, {}, &BlobEntry::digest);
  std::string text;
  for (const BlobEntry& blob : blobs) text += fmt::format("{} {}\n", blob.digest.text(), blob.size);
  return text;
}

std::vector<BlobEntry> decode_blob_list(std::string_view text, std::string_view what) {
  std::vector<BlobEntry> blobs;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) fail(what, line, "does not end with a line end");
    const std::string_view entry = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (entry.size() < kDigestText + 2 || entry[kDigestText] != ' ' ||
        !Digest::is_valid(entry.substr(0, kDigestText))) {
      fail(what, line, "is not 'sha256:<digest> <size>'");
    }
    const auto size = parse_size(entry.substr(kDigestText + 1));
    if (!size) fail(what, line, "has a bad size");
    const Digest digest = Digest::parse(entry.substr(0, kDigestText));
    if (!blobs.empty() && digest <= blobs.back().digest) fail(what, line, "is out of order");
    blobs.push_back({digest, *size});
  }
  return blobs;
}

}  // namespace bundle::format
