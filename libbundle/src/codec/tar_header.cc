#include "codec/tar_header.h"

#include <algorithm>
#include <charconv>

namespace bundle::codec::tar {
namespace {

constexpr std::string_view kMagicUstar{"ustar\0", 6};
constexpr std::string_view kTrailerStar{"tar\0", 4};

bool is_blank(char c) {
  return c == ' ' || c == '\0';
}

// GNU: the first bit marks a big-endian two's complement number.
std::optional<std::uint64_t> base_256(ByteView field) {
  if ((field[0] & 0x40U) != 0) return std::nullopt;  // negative
  std::uint64_t value = field[0] & 0x3FU;
  for (const std::uint8_t byte : field.subspan(1)) {
    if (value >> 56 != 0) return std::nullopt;
    value = value << 8 | byte;
  }
  return value;
}

}  // namespace

bool is_zero(ByteView block) {
  return std::ranges::all_of(block, [](std::uint8_t byte) { return byte == 0; });
}

std::uint64_t checksum(ByteView block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    sum += own ? std::uint8_t{' '} : block[i];
  }
  return sum;
}

bool has_valid_checksum(ByteView block) {
  const auto stored = number(field(block, kChecksum));
  if (!stored) return false;
  const std::uint64_t sum = checksum(block);
  if (*stored == sum) return true;
  std::uint64_t high_bytes = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    if (!own && block[i] >= 0x80) ++high_bytes;
  }
  return *stored + 256 * high_bytes == sum;
}

std::optional<std::uint64_t> number(ByteView field) {
  if ((field[0] & 0x80U) != 0) return base_256(field);
  std::string_view digits = as_text(field);
  while (!digits.empty() && is_blank(digits.front())) digits.remove_prefix(1);
  while (!digits.empty() && is_blank(digits.back())) digits.remove_suffix(1);
  if (digits.empty()) return 0;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::string text(ByteView field) {
  const std::string_view all = as_text(field);
  return std::string(all.substr(0, all.find('\0')));
}

std::string path(ByteView block) {
  std::string name = text(field(block, kName));
  if (!as_text(field(block, kMagic)).starts_with(kMagicUstar)) return name;
  const bool star = as_text(field(block, kStarTrailer)) == kTrailerStar;
  const std::string prefix = text(field(block, star ? kStarPrefix : kPrefix));
  return prefix.empty() ? name : prefix + "/" + name;
}

std::optional<std::uint64_t> decimal(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<PaxRecords> pax_records(std::string_view content) {
  PaxRecords records;
  while (!content.empty()) {
    const std::size_t space = content.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    const auto length = decimal(content.substr(0, space));
    if (!length || *length > content.size() || *length < space + 4) return std::nullopt;
    const std::string_view record = content.substr(space + 1, *length - space - 1);
    const std::size_t equals = record.find('=');
    if (record.back() != '\n' || equals == std::string_view::npos || equals == 0) {
      return std::nullopt;
    }
    records.emplace_back(record.substr(0, equals),
                         record.substr(equals + 1, record.size() - equals - 2));
    content.remove_prefix(*length);
  }
  return records;
}

}  // namespace bundle::codec::tar
