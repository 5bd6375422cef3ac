#include "codec/gzip_reader.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "bundle/error.h"

namespace bundle::codec {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;
constexpr int kGzipOnly = MAX_WBITS + 16;

}  // namespace

struct GzipReader::State {
  z_stream stream{};
  Bytes input = Bytes(kBuffer);
  std::uint64_t produced = 0;
  bool member_done = false;
  bool done = false;
};

GzipReader::GzipReader(Source& source, std::uint64_t limit, std::string_view what)
    : source_(source), limit_(limit), what_(what), state_(std::make_unique<State>()) {
  if (inflateInit2(&state_->stream, kGzipOnly) != Z_OK) {
    throw Error(ErrorCode::internal, "zlib cannot start");
  }
}

GzipReader::~GzipReader() {
  inflateEnd(&state_->stream);
}

void GzipReader::fail(std::string_view reason) const {
  throw Error(ErrorCode::archive_invalid,
              fmt::format("{}: damaged gzip data after {} inflated bytes: {}", what_,
                          state_->produced, reason),
              "Copy the file again or make it again.");
}

bool GzipReader::refill() {
  z_stream& stream = state_->stream;
  if (stream.avail_in > 0) return true;
  stream.next_in = state_->input.data();
  stream.avail_in = static_cast<uInt>(source_.read(state_->input));
  return stream.avail_in > 0;
}

std::size_t GzipReader::read(std::span<std::uint8_t> buffer) {
  if (buffer.empty()) return 0;
  z_stream& stream = state_->stream;
  const std::size_t room = std::min<std::size_t>(buffer.size(), std::numeric_limits<uInt>::max());
  stream.next_out = buffer.data();
  stream.avail_out = static_cast<uInt>(room);
  while (!state_->done && stream.avail_out == room) {
    if (!refill()) {
      if (!state_->member_done) fail("it ends too early");
      state_->done = true;
      break;
    }
    if (state_->member_done) {
      inflateReset(&stream);
      state_->member_done = false;
    }
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      fail(stream.msg != nullptr ? stream.msg : "it needs a dictionary");
    }
    state_->member_done = result == Z_STREAM_END;
  }
  const std::size_t count = room - stream.avail_out;
  state_->produced += count;
  if (state_->produced > limit_) {
    throw Error(ErrorCode::bomb,
                fmt::format("{} inflates to more than the limit of {} bytes", what_, limit_),
                "Nothing real compresses that well: check where the file comes from.");
  }
  return count;
}

bool is_gzip(ByteView start) {
  return start.size() >= 3 && start[0] == 0x1f && start[1] == 0x8b && start[2] == 8;
}

}  // namespace bundle::codec
