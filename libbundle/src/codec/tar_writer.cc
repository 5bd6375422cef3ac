#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"
#include "codec/tar.h"
#include "codec/tar_header.h"

namespace bundle::codec {
namespace {

constexpr std::uint64_t kMaxOctalSize = 077777777777;  // 11 digits: 8 GiB - 1
constexpr std::uint64_t kMaxOctalTime = 077777777777;  // year 2242

using Block = std::array<std::uint8_t, kTarBlock>;

void put(Block& block, tar::Field field, std::string_view text) {
  std::copy_n(text.begin(), std::min(text.size(), field.size),
              block.begin() + static_cast<std::ptrdiff_t>(field.offset));
}

void put_octal(Block& block, tar::Field field, std::uint64_t value) {
  put(block, field, fmt::format("{:0{}o}", value, field.size - 1));
}

// Where to cut a long path into prefix and name; npos when it does not fit.
std::size_t split_point(std::string_view path) {
  if (path.size() > tar::kPrefix.size + 1 + tar::kName.size) return std::string_view::npos;
  const std::size_t cut = path.rfind('/', tar::kPrefix.size);
  if (cut == std::string_view::npos || cut == 0) return std::string_view::npos;
  const std::size_t rest = path.size() - cut - 1;
  return rest == 0 || rest > tar::kName.size ? std::string_view::npos : cut;
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// "length key=value\n", where length counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (rest + std::to_string(length).size() != length) ++length;
  return fmt::format("{} {}={}\n", length, key, value);
}

struct HeaderFields {
  std::string_view prefix;
  std::string_view name;
  char type;
  std::uint32_t mode;
  std::uint64_t mtime;
  std::uint64_t size;
};

Block make_header(const HeaderFields& fields) {
  Block block{};
  put(block, tar::kName, fields.name);
  put_octal(block, tar::kMode, fields.mode);
  put_octal(block, tar::kUid, 0);
  put_octal(block, tar::kGid, 0);
  put_octal(block, tar::kSize, fields.size);
  put_octal(block, tar::kMtime, fields.mtime);
  block[tar::kType.offset] = static_cast<std::uint8_t>(fields.type);
  put(block, tar::kMagic, std::string_view("ustar\00000", 8));
  put(block, tar::kPrefix, fields.prefix);
  put(block, tar::kChecksum, fmt::format("{:06o}", tar::checksum(block)));
  block[tar::kChecksum.offset + 7] = ' ';
  return block;
}

}  // namespace

void TarWriter::write_header(const std::string& path, char type, std::uint32_t mode, UnixTime mtime,
                             std::uint64_t size) {
  if (mtime < 0 || static_cast<std::uint64_t>(mtime) > kMaxOctalTime) {
    throw Error(ErrorCode::limit, fmt::format("the time {} does not fit into a tar header", mtime),
                "Use a time between 1970 and 2242 and a plain file name.");
  }
  if (path.find('\0') != std::string::npos) {
    throw Error(ErrorCode::unsafe_path, "a path for a tar archive holds a NUL byte",
                "Use a time between 1970 and 2242 and a plain file name.");
  }
  HeaderFields fields{{}, path, type, mode, static_cast<std::uint64_t>(mtime), size};
  std::string pax;
  const std::size_t cut = path.size() > tar::kName.size ? split_point(path) : 0;
  if (cut == std::string::npos || !is_ascii(path)) {
    pax += pax_record("path", path);
  } else if (cut > 0) {
    fields.prefix = std::string_view(path).substr(0, cut);
    fields.name = std::string_view(path).substr(cut + 1);
  }
  if (size > kMaxOctalSize) {
    pax += pax_record("size", std::to_string(size));
    fields.size = 0;
  }
  if (!pax.empty()) {
    sink_.write(make_header({{}, "PaxHeaders.0/member", 'x', 0644, fields.mtime, pax.size()}));
    sink_.write(as_bytes(pax));
    pad(pax.size());
  }
  sink_.write(make_header(fields));
}

void TarWriter::pad(std::uint64_t size) {
  static constexpr Block kZeros{};
  sink_.write(ByteView(kZeros).first((kTarBlock - size % kTarBlock) % kTarBlock));
}

void TarWriter::add_file(const std::string& path, std::uint32_t mode, UnixTime mtime,
                         std::uint64_t size, Source& body) {
  write_header(path, '0', mode, mtime, size);
  const std::uint64_t copied = copy_all(body, sink_);
  if (copied != size) {
    throw Error(
        ErrorCode::io_error,
        fmt::format("{} changed while it was packed: {} bytes instead of {}", path, copied, size),
        "Run the command again when nothing writes to the file.");
  }
  pad(size);
}

void TarWriter::add_directory(const std::string& path, std::uint32_t mode, UnixTime mtime) {
  write_header(path.ends_with('/') ? path : path + "/", '5', mode, mtime, 0);
}

void TarWriter::finish() {
  static constexpr std::array<std::uint8_t, 2 * kTarBlock> kEnd{};
  sink_.write(kEnd);
}

}  // namespace bundle::codec
