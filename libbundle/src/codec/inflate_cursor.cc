#include "codec/inflate_cursor.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

#include "bundle/error.h"
#include "codec/gzip_parser.h"

namespace bundle::codec {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;
constexpr std::size_t kWindow = 32 * 1024;
constexpr int kGzipOnly = MAX_WBITS + 16;
constexpr int kRawOnly = -MAX_WBITS;
// Bits of z_stream::data_type after inflate(Z_BLOCK).
constexpr int kAtBlockEnd = 128;
constexpr int kInLastBlock = 64;
constexpr int kUnusedBits = 7;

}  // namespace

std::optional<InflatePoints::Point> InflatePoints::last_before(std::uint64_t plain) const {
  const std::lock_guard lock(mutex_);
  const auto after = points_.upper_bound(plain);
  if (after == points_.begin()) return std::nullopt;
  return std::prev(after)->second;
}

bool InflatePoints::wants(std::uint64_t plain) const {
  const std::lock_guard lock(mutex_);
  const auto after = points_.upper_bound(plain);
  const std::uint64_t before = after == points_.begin() ? 0 : std::prev(after)->first;
  const bool far_from_next = after == points_.end() || after->first - plain >= spacing_;
  return plain - before >= spacing_ && far_from_next;
}

void InflatePoints::add(Point point) {
  const std::lock_guard lock(mutex_);
  points_.try_emplace(point.plain, std::move(point));
}

struct InflateCursor::State {
  z_stream stream{};
  Bytes input = Bytes(kBuffer);
  Bytes plain = Bytes(kBuffer);   // the bytes handed out last
  std::uint64_t plain_start = 0;  // offset of plain[0]
  std::size_t plain_size = 0;
  std::uint64_t packed_offset = 0;  // of the next byte to read into `input`
  bool raw = false;                 // inside a member whose header was passed over
  bool in_member = false;           // something of this member was inflated
  bool ended = false;

  std::uint64_t position() const { return plain_start + plain_size; }
};

InflateCursor::InflateCursor(const ReadableFile& file, InflatePoints& points)
    : file_(file), points_(points), state_(std::make_unique<State>()) {
  if (inflateInit2(&state_->stream, kGzipOnly) != Z_OK) {
    throw Error(ErrorCode::internal, "zlib cannot start to inflate");
  }
}
InflateCursor::~InflateCursor() {
  inflateEnd(&state_->stream);
}

void InflateCursor::fail(std::string_view reason) const {
  throw Error(ErrorCode::store_corrupt,
              fmt::format("{}: {} after {} inflated bytes", file_.path().string(), reason,
                          state_->position()),
              "This blob of the base release is damaged: import the base release again with "
              "--repair, from any medium.");
}

void InflateCursor::copy(std::uint64_t offset, std::uint64_t length, Sink& out) {
  State& state = *state_;
  seek(offset);
  while (length > 0) {
    while (offset >= state.position()) {
      fill();
      if (state.ended) fail("ends, but more is needed");
    }
    const auto within = static_cast<std::size_t>(offset - state.plain_start);
    const auto part =
        static_cast<std::size_t>(std::min<std::uint64_t>(length, state.plain_size - within));
    out.write(ByteView(state.plain).subspan(within, part));
    offset += part;
    length -= part;
  }
}

void InflateCursor::seek(std::uint64_t offset) {
  if (offset >= state_->plain_start && offset < state_->position()) return;
  const auto point = points_.last_before(offset);
  const bool backward = offset < state_->plain_start;
  if (point && (backward || point->plain > state_->position())) return restore(*point);
  if (backward) restart();
}

void InflateCursor::restart() {
  State& state = *state_;
  inflateReset2(&state.stream, kGzipOnly);
  state.stream.avail_in = 0;
  state.packed_offset = 0;
  state.plain_start = 0;
  state.plain_size = 0;
  state.raw = state.in_member = state.ended = false;
}

void InflateCursor::restore(const InflatePoints::Point& point) {
  restart();
  State& state = *state_;
  inflateReset2(&state.stream, kRawOnly);
  state.packed_offset = point.packed - (point.bits > 0 ? 1 : 0);
  state.plain_start = point.plain;
  state.raw = state.in_member = true;
  if (point.bits > 0) {
    if (!refill()) fail("ends early");
    const int byte = *state.stream.next_in++;
    --state.stream.avail_in;
    inflatePrime(&state.stream, point.bits, byte >> (8 - point.bits));
  }
  inflateSetDictionary(&state.stream, point.window->data(),
                       static_cast<uInt>(point.window->size()));
}

bool InflateCursor::refill() {
  State& state = *state_;
  if (state.stream.avail_in > 0) return true;
  const std::size_t count = file_.read_at(state.packed_offset, state.input);
  state.packed_offset += count;
  state.stream.next_in = state.input.data();
  state.stream.avail_in = static_cast<uInt>(count);
  return count > 0;
}

// Inflates the next piece; sets `ended` behind the last member.
void InflateCursor::fill() {
  State& state = *state_;
  state.plain_start = state.position();
  state.plain_size = 0;
  state.stream.next_out = state.plain.data();
  state.stream.avail_out = static_cast<uInt>(state.plain.size());
  while (state.stream.avail_out == state.plain.size()) {
    if (!refill()) {
      if (state.in_member) fail("ends early");
      state.ended = true;
      return;
    }
    const int result = inflate(&state.stream, Z_BLOCK);
    state.plain_size = state.plain.size() - state.stream.avail_out;
    if (result == Z_STREAM_END) {
      end_member();
    } else if (result == Z_OK || result == Z_BUF_ERROR) {
      state.in_member =
          state.in_member || (state.stream.data_type & kAtBlockEnd) != 0 || state.plain_size > 0;
      note_point();
    } else {
      if (state.in_member || state.position() == 0) fail("is damaged");
      state.ended = true;  // something else follows the last member
      return;
    }
  }
}

void InflateCursor::end_member() {
  State& state = *state_;
  state.in_member = false;
  for (std::size_t left = state.raw ? kGzipTrailer : 0; left > 0;) {
    if (!refill()) fail("ends early");
    const auto part = std::min<std::size_t>(left, state.stream.avail_in);
    state.stream.next_in += part;
    state.stream.avail_in -= static_cast<uInt>(part);
    left -= part;
  }
  state.raw = false;
  inflateReset2(&state.stream, kGzipOnly);
}

void InflateCursor::note_point() {
  State& state = *state_;
  const int type = state.stream.data_type;
  if ((type & kAtBlockEnd) == 0 || (type & kInLastBlock) != 0 || !points_.wants(state.position()))
    return;
  Bytes window(kWindow);
  uInt size = 0;
  inflateGetDictionary(&state.stream, window.data(), &size);
  window.resize(size);
  points_.add({state.position(), state.packed_offset - state.stream.avail_in, type & kUnusedBits,
               std::make_shared<const Bytes>(std::move(window))});
}

}  // namespace bundle::codec
