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

[[noreturn]] void fail(ErrorCode code, std::string_view what, std::size_t line,
                       std::string_view reason) {
  throw Error(code, fmt::format("{}: line {}: {}", what, line, reason),
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

std::string encode_lines(const std::vector<BlobEntry>& blobs) {
  std::string text;
  for (const BlobEntry& blob : blobs) text += fmt::format("{} {}\n", blob.digest.text(), blob.size);
  return text;
}

// The lines in their order, each as it must be.
std::vector<BlobEntry> decode_lines(std::string_view text, std::string_view what, ErrorCode code) {
  std::vector<BlobEntry> blobs;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) fail(code, what, line, "does not end with a line end");
    const std::string_view entry = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (entry.size() < kDigestText + 2 || entry[kDigestText] != ' ' ||
        !Digest::is_valid(entry.substr(0, kDigestText))) {
      fail(code, what, line, "is not 'sha256:<digest> <size>'");
    }
    const auto size = parse_size(entry.substr(kDigestText + 1));
    if (!size) fail(code, what, line, "has a bad size");
    blobs.push_back({Digest::parse(entry.substr(0, kDigestText)), *size});
  }
  return blobs;
}

}  // namespace

std::string encode_blob_list(std::vector<BlobEntry> blobs) {
  std::ranges::sort(blobs, {}, &BlobEntry::digest);
  return encode_lines(blobs);
}

std::vector<BlobEntry> decode_blob_list(std::string_view text, std::string_view what) {
  std::vector<BlobEntry> blobs = decode_lines(text, what, ErrorCode::statement_invalid);
  for (std::size_t i = 1; i < blobs.size(); ++i) {
    if (blobs[i].digest <= blobs[i - 1].digest) {
      fail(ErrorCode::statement_invalid, what, i + 1, "is out of order");
    }
  }
  return blobs;
}

std::string encode_base_list(const std::vector<BlobEntry>& blobs) {
  return encode_lines(blobs);
}

std::vector<BlobEntry> decode_base_list(std::string_view text, std::string_view what) {
  std::vector<BlobEntry> blobs = decode_lines(text, what, ErrorCode::index_invalid);
  std::vector<Digest> digests;
  digests.reserve(blobs.size());
  for (const BlobEntry& blob : blobs) digests.push_back(blob.digest);
  std::ranges::sort(digests);
  const auto twice = std::ranges::adjacent_find(digests);
  if (twice == digests.end()) return blobs;
  const auto line = std::ranges::find(blobs, *twice, &BlobEntry::digest) - blobs.begin();
  fail(ErrorCode::index_invalid, what, static_cast<std::size_t>(line) + 1, "names a blob twice");
}

}  // namespace bundle::format
