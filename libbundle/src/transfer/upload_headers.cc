#include "transfer/upload_headers.h"

#include <charconv>
#include <limits>

namespace bundle::transfer {
namespace {

// Digits and nothing else.
std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::uint64_t> kept_bytes(std::string_view range) {
  if (range.starts_with("bytes=")) range.remove_prefix(6);
  if (!range.starts_with("0-")) return std::nullopt;
  const auto last = whole_number(range.substr(2));
  if (!last || *last == std::numeric_limits<std::uint64_t>::max()) return std::nullopt;
  return *last == 0 ? 0 : *last + 1;
}

std::uint64_t least_chunk_bytes(std::string_view text) {
  return whole_number(text).value_or(0);
}

}  // namespace bundle::transfer
