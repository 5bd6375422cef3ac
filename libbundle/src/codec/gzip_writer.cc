#include "codec/gzip_writer.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "bundle/error.h"

namespace bundle::codec {
namespace {

constexpr std::size_t kBuffer = 32 * 1024;
// Magic, deflate, no flags, mtime 0, xfl 2 (best compression), OS 255 (unknown).
constexpr std::array<std::uint8_t, 10> kHeader{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255};

}  // namespace

struct GzipWriter::State {
  z_stream stream{};
  std::uint32_t crc = 0;
  std::uint32_t size = 0;  // modulo 2^32, as the trailer holds it
  Bytes buffer = Bytes(kBuffer);
};

GzipWriter::GzipWriter(Sink& sink) : sink_(sink), state_(std::make_unique<State>()) {
  // Raw deflate (negative window bits): zlib's own gzip header would name the build's OS.
  if (deflateInit2(&state_->stream, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    throw Error(ErrorCode::internal, "zlib cannot start");
  }
  sink_.write(kHeader);
}

GzipWriter::~GzipWriter() {
  deflateEnd(&state_->stream);
}

void GzipWriter::write(ByteView bytes) {
  while (!bytes.empty()) {
    const ByteView part =
        bytes.first(std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max()));
    state_->crc = static_cast<std::uint32_t>(crc32_z(state_->crc, part.data(), part.size()));
    state_->size += static_cast<std::uint32_t>(part.size());
    state_->stream.next_in = const_cast<Bytef*>(part.data());
    state_->stream.avail_in = static_cast<uInt>(part.size());
    pump(Z_NO_FLUSH);
    bytes = bytes.subspan(part.size());
  }
}

void GzipWriter::pump(int flush) {
  z_stream& stream = state_->stream;
  do {
    stream.next_out = state_->buffer.data();
    stream.avail_out = static_cast<uInt>(state_->buffer.size());
    if (deflate(&stream, flush) == Z_STREAM_ERROR) {
      throw Error(ErrorCode::internal, "gzip: written to after its end");
    }
    sink_.write(ByteView(state_->buffer).first(state_->buffer.size() - stream.avail_out));
  } while (stream.avail_out == 0);
}

void GzipWriter::finish() {
  pump(Z_FINISH);
  std::array<std::uint8_t, 8> trailer{};
  store_le(trailer.data(), state_->crc);
  store_le(trailer.data() + 4, state_->size);
  sink_.write(trailer);
}

}  // namespace bundle::codec
