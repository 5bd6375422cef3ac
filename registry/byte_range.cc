#include "registry/byte_range.h"

#include <algorithm>
#include <limits>

namespace bundle::registry {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Digits only. A number too large for 64 bits is larger than any blob: it becomes the largest.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  constexpr std::uint64_t kLargest = std::numeric_limits<std::uint64_t>::max();
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    value = value > (kLargest - digit) / 10 ? kLargest : value * 10 + digit;
  }
  return value;
}

bool is_bytes_unit(std::string_view unit) {
  static constexpr std::string_view kBytes = "bytes";
  return unit.size() == kBytes.size() && std::equal(unit.begin(), unit.end(), kBytes.begin(),
                                                    [](char a, char b) { return (a | 0x20) == b; });
}

}  // namespace

std::variant<WholeBody, NotSatisfiable, ByteRange> parse_byte_range(std::string_view header,
                                                                    std::uint64_t size) {
  header = trim(header);
  const std::size_t equals = header.find('=');
  if (equals == std::string_view::npos || !is_bytes_unit(header.substr(0, equals))) {
    return WholeBody::ignored;
  }
  const std::string_view range = trim(header.substr(equals + 1));
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos) return WholeBody::ignored;
  const std::string_view from = range.substr(0, dash);
  const std::string_view to = range.substr(dash + 1);

  if (from.empty()) {
    const auto suffix = parse_number(to);
    if (!suffix) return WholeBody::ignored;
    if (*suffix == 0 || size == 0) return NotSatisfiable::past_end;
    return ByteRange{size - std::min(*suffix, size), size - 1};
  }
  const auto first = parse_number(from);
  if (!first) return WholeBody::ignored;
  std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
  if (!to.empty()) {
    const auto given = parse_number(to);
    if (!given) return WholeBody::ignored;
    last = *given;
  }
  if (last < *first || *first >= size) return NotSatisfiable::past_end;
  return ByteRange{*first, std::min(last, size - 1)};
}

std::optional<ByteRange> parse_chunk_range(std::string_view header) {
  if (header.starts_with("bytes ")) header.remove_prefix(6);
  header = header.substr(0, header.find('/'));
  const std::size_t dash = header.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_number(header.substr(0, dash));
  const auto last = parse_number(header.substr(dash + 1));
  // The largest number stands for all that are too large: a range up to there has no length.
  if (!first || !last || *last < *first || *last == std::numeric_limits<std::uint64_t>::max()) {
    return std::nullopt;
  }
  return ByteRange{*first, *last};
}

}  // namespace bundle::registry
