#include "codec/grain_scanner.h"

#include <zlib.h>

#include <algorithm>

#include "bundle/error.h"

namespace bundle::codec {
namespace {

constexpr std::size_t kZlibHeader = 2;
constexpr std::size_t kZlibTrailer = 4;  // Adler-32
constexpr std::uint8_t kDictionary = 0x20;

bool is_zlib_header(std::uint8_t first, std::uint8_t second) {
  return (first & 15) == Z_DEFLATED && first >> 4 <= 7 && (second & kDictionary) == 0 &&
         (first << 8 | second) % 31 == 0;
}

}  // namespace

struct GrainScanner::Inflater {
  Inflater() : plain(kMaxPlain) {
    if (inflateInit(&stream) != Z_OK)
      throw Error(ErrorCode::internal, "zlib cannot start to inflate");
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // True when `packed` is one whole stream with the right checksum.
  bool run(ByteView packed) {
    inflateReset(&stream);
    stream.next_in = const_cast<Bytef*>(packed.data());  // zlib's API predates const
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = plain.data();
    stream.avail_out = static_cast<uInt>(plain.size());
    return inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_in == 0;
  }
  ByteView made() const { return ByteView(plain).first(plain.size() - stream.avail_out); }

  z_stream stream{};
  Bytes plain;
};

GrainScanner::GrainScanner(GrainVisitor& visitor)
    : visitor_(visitor), inflater_(std::make_unique<Inflater>()) {}
GrainScanner::~GrainScanner() = default;

void GrainScanner::write(ByteView bytes) {
  held_.insert(held_.end(), bytes.begin(), bytes.end());
  scan(false);
}

void GrainScanner::finish() {
  scan(true);
  visitor_.on_other(held_);
  held_.clear();
}

void GrainScanner::scan(bool last) {
  std::size_t done = 0;
  std::size_t other = 0;  // from there to `done`: not yet given on
  const auto flush = [&] {
    if (done > other) visitor_.on_other(ByteView(held_).subspan(other, done - other));
  };
  while (held_.size() - done >= kSector) {
    const ByteView sector = ByteView(held_).subspan(done);
    const std::size_t size = load_le<std::uint32_t>(sector.data() + 8);
    const bool likely = size > kZlibHeader + kZlibTrailer && size <= kMaxPacked &&
                        is_zlib_header(sector[kMarker], sector[kMarker + 1]);
    const std::size_t end = (kMarker + size + kSector - 1) / kSector * kSector;
    if (likely && sector.size() < end && !last) break;
    if (!likely || sector.size() < end || !inflater_->run(sector.subspan(kMarker, size))) {
      done += kSector;
      continue;
    }
    flush();
    visitor_.on_other(sector.first(kMarker + kZlibHeader));
    visitor_.on_grain(sector.subspan(kMarker + kZlibHeader, size - kZlibHeader - kZlibTrailer),
                      inflater_->made());
    other = done + kMarker + size - kZlibTrailer;
    done += end;
  }
  flush();
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace bundle::codec
