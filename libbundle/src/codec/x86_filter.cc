#include "codec/x86_filter.h"

#include <algorithm>
#include <array>
#include <optional>

namespace bundle::codec {
namespace {

constexpr std::size_t kFileHeader = 64;
constexpr std::size_t kProgramHeader = 56;
constexpr std::size_t kMaxProgramHeaders = 64;
constexpr std::uint16_t kMachine = 62;  // x86-64
constexpr std::uint32_t kLoad = 1;
constexpr std::uint32_t kExecutable = 1;
constexpr std::uint64_t kMaxImage = 1 << 30;
constexpr std::size_t kLongest = 7;  // bytes of an instruction that is looked at, operand included

// The executable segment of one ELF file, by places in the buffer.
struct Code {
  std::size_t start = 0;
  std::size_t end = 0;
  std::size_t file = 0;    // where the file begins
  std::int64_t image = 0;  // bytes of the program in memory
};

// The code of the file whose header is at `file`; nothing when it is no such file. Only bytes
// before the code's start are looked at: those the filter leaves as they are.
std::optional<Code> find_code(ByteView bytes, std::size_t file) {
  const ByteView rest = bytes.subspan(file);
  if (rest.size() < kFileHeader) return std::nullopt;
  const std::uint8_t* const header = rest.data();
  const bool is_64_bit_little_endian = header[4] == 2 && header[5] == 1;
  const std::size_t count = load_le<std::uint16_t>(header + 56);
  const std::size_t headers_end = kFileHeader + kProgramHeader * count;
  if (!is_64_bit_little_endian || load_le<std::uint16_t>(header + 18) != kMachine ||
      load_le<std::uint64_t>(header + 32) != kFileHeader ||
      load_le<std::uint16_t>(header + 54) != kProgramHeader || count > kMaxProgramHeaders ||
      headers_end > rest.size()) {
    return std::nullopt;
  }
  std::optional<Code> code;
  std::uint64_t low = UINT64_MAX;
  std::uint64_t high = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* const entry = header + kFileHeader + kProgramHeader * i;
    if (load_le<std::uint32_t>(entry) != kLoad) continue;
    const auto offset = load_le<std::uint64_t>(entry + 8);
    const auto address = load_le<std::uint64_t>(entry + 16);
    const auto stored = load_le<std::uint64_t>(entry + 32);
    const auto size = load_le<std::uint64_t>(entry + 40);
    if (offset > kMaxImage || stored > kMaxImage || size > kMaxImage ||
        address > UINT64_MAX - size) {
      return std::nullopt;
    }
    low = std::min(low, address);
    high = std::max(high, address + size);
    const bool executable = (load_le<std::uint32_t>(entry + 4) & kExecutable) != 0;
    if (!executable || code) continue;
    const auto start = std::max<std::uint64_t>(offset, headers_end);
    if (start >= std::min<std::uint64_t>(rest.size(), offset + stored)) return std::nullopt;
    code =
        Code{file + static_cast<std::size_t>(start),
             file + static_cast<std::size_t>(std::min<std::uint64_t>(rest.size(), offset + stored)),
             file, 0};
  }
  if (!code || high - low > kMaxImage) return std::nullopt;
  code->image = static_cast<std::int64_t>(high - low);
  return code;
}

// How many bytes from `at` on stand before a relative operand of four bytes; 0: no such
// instruction.
std::size_t opcode_size(const std::uint8_t* at) {
  if (*at == 0xE8 || *at == 0xE9) return 1;  // call, jmp
  // mov and lea of 64-bit registers with an operand relative to the instruction.
  const bool access = (at[0] & 0xF8) == 0x48 && (at[1] == 0x8B || at[1] == 0x8D || at[1] == 0x89) &&
                      (at[2] & 0xC7) == 0x05;
  return access ? 3 : 0;
}

// Distances from -place to image, which name a place in the program, and places change sides; the
// few that name none take the numbers that are left.
std::int64_t to_place(std::int64_t distance, std::int64_t place, std::int64_t image) {
  if (distance < -place || distance >= image) return distance;
  return distance < image - place ? distance + place : distance - image;
}
std::int64_t to_distance(std::int64_t value, std::int64_t place, std::int64_t image) {
  if (value < -place || value >= image) return value;
  return value >= 0 ? value - place : value + image;
}

// Operands are turned round: the high bytes, which are alike, come first.
void encode_operand(std::uint8_t* operand, std::int64_t place, std::int64_t image) {
  const auto distance = static_cast<std::int32_t>(load_le<std::uint32_t>(operand));
  const auto value = static_cast<std::uint32_t>(to_place(distance, place, image));
  store_le(operand, __builtin_bswap32(value));
}
void decode_operand(std::uint8_t* operand, std::int64_t place, std::int64_t image) {
  const auto value = static_cast<std::int32_t>(__builtin_bswap32(load_le<std::uint32_t>(operand)));
  store_le(operand, static_cast<std::uint32_t>(to_distance(value, place, image)));
}

// Opcodes are read before any operand behind them is changed, in both directions.
template <typename Operand>
void filter_code(std::span<std::uint8_t> bytes, const Code& code, Operand operand) {
  for (std::size_t at = code.start; at + kLongest <= code.end;) {
    const std::size_t opcode = opcode_size(bytes.data() + at);
    if (opcode == 0) {
      ++at;
      continue;
    }
    const std::size_t next = at + opcode + sizeof(std::uint32_t);
    const auto place = static_cast<std::int64_t>(next - code.file);
    if (place < code.image) operand(bytes.data() + at + opcode, place, code.image);
    at = next;
  }
}

template <typename Operand>
std::size_t filter(std::span<std::uint8_t> bytes, Operand operand) {
  static constexpr std::array<std::uint8_t, 4> kMagic{0x7F, 'E', 'L', 'F'};
  std::size_t covered = 0;
  for (auto from = bytes.begin(); from != bytes.end();) {
    const auto found = std::search(from, bytes.end(), kMagic.begin(), kMagic.end());
    if (found == bytes.end()) break;
    const auto code = find_code(bytes, static_cast<std::size_t>(found - bytes.begin()));
    if (code) {
      filter_code(bytes, *code, operand);
      covered += code->end - code->start;
    }
    from = code ? bytes.begin() + static_cast<std::ptrdiff_t>(code->end) : found + 1;
  }
  return covered;
}

}  // namespace

std::size_t x86_filter_encode(std::span<std::uint8_t> bytes) {
  return filter(bytes, encode_operand);
}

void x86_filter_decode(std::span<std::uint8_t> bytes) {
  filter(bytes, decode_operand);
}

}  // namespace bundle::codec
