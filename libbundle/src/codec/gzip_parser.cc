#include "codec/gzip_parser.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"
#include "codec/gzip_reader.h"

namespace bundle::codec {
namespace {

constexpr int kRawWindowBits = -15;
constexpr std::size_t kFixedHeader = 10;
constexpr std::size_t kInflateBuffer = 128 * 1024;
constexpr std::uint8_t kHeaderCrc = 2;
constexpr std::uint8_t kExtra = 4;
constexpr std::uint8_t kName = 8;
constexpr std::uint8_t kComment = 16;
constexpr std::uint8_t kReserved = 0xE0;

enum class Step : std::uint8_t { header, deflate, trailer, rest, failed };
enum class HeaderState : std::uint8_t { incomplete, complete, wrong };

// Where the header that starts `bytes` ends, if all of it is there.
HeaderState measure_header(ByteView bytes, std::size_t& size) {
  if (bytes.size() < kFixedHeader) return HeaderState::incomplete;
  const std::uint8_t flags = bytes[3];
  if (!is_gzip(bytes) || (flags & kReserved) != 0) return HeaderState::wrong;
  size = kFixedHeader;
  if ((flags & kExtra) != 0) {
    if (bytes.size() < size + 2) return HeaderState::incomplete;
    size += 2 + load_le<std::uint16_t>(bytes.data() + size);
  }
  for (const std::uint8_t flag : {kName, kComment}) {
    if ((flags & flag) == 0) continue;
    if (bytes.size() <= size) return HeaderState::incomplete;
    const auto end = std::ranges::find(bytes.subspan(size), 0);
    if (end == bytes.subspan(size).end()) return HeaderState::incomplete;
    size = static_cast<std::size_t>(&*end - bytes.data()) + 1;
  }
  if ((flags & kHeaderCrc) != 0) size += 2;
  return bytes.size() < size ? HeaderState::incomplete : HeaderState::complete;
}

}  // namespace

std::uint8_t gzip_extra_flags(ByteView header) {
  return header.size() > 8 ? header[8] : 0;
}

struct GzipParser::State {
  explicit State(GzipVisitor& to) : visitor(to) {
    if (inflateInit2(&stream, kRawWindowBits) != Z_OK) {
      throw Error(ErrorCode::internal, "zlib cannot start to inflate");
    }
  }
  ~State() { inflateEnd(&stream); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  ByteView take_header(ByteView bytes);
  ByteView take_deflate(ByteView bytes);
  ByteView take_trailer(ByteView bytes);

  GzipVisitor& visitor;
  Step step = Step::header;
  bool seen_member = false;
  Bytes held;  // an incomplete header or trailer
  z_stream stream{};
  std::array<std::uint8_t, kInflateBuffer> plain{};
};

ByteView GzipParser::State::take_header(ByteView bytes) {
  const std::size_t before = held.size();
  const std::size_t part = std::min(bytes.size(), kMaxGzipHeader - before);
  held.insert(held.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
  std::size_t size = 0;
  const HeaderState found = measure_header(held, size);
  if (found == HeaderState::incomplete && held.size() < kMaxGzipHeader) return {};
  if (found == HeaderState::complete) {
    visitor.on_header(ByteView(held).first(size));
    held.clear();
    inflateReset(&stream);
    step = Step::deflate;
    return bytes.subspan(size - before);
  }
  // Something else follows the last member: padding or another file.
  step = seen_member ? Step::rest : Step::failed;
  if (step == Step::rest) visitor.on_rest(held);
  held.clear();
  return bytes.subspan(part);
}

ByteView GzipParser::State::take_deflate(ByteView bytes) {
  stream.next_in = const_cast<Bytef*>(bytes.data());  // zlib's API predates const
  stream.avail_in = static_cast<uInt>(bytes.size());
  for (;;) {
    const Bytef* const from = stream.next_in;
    stream.next_out = plain.data();
    stream.avail_out = static_cast<uInt>(plain.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      step = Step::failed;
      return {};
    }
    const auto used = static_cast<std::size_t>(stream.next_in - from);
    if (used > 0) visitor.on_deflate(ByteView(from, used));
    const std::size_t made = plain.size() - stream.avail_out;
    if (made > 0) visitor.on_plain(ByteView(plain).first(made));
    if (result == Z_STREAM_END) {
      step = Step::trailer;
      return bytes.last(stream.avail_in);
    }
    if (stream.avail_in == 0 && stream.avail_out != 0) return {};
    if (used == 0 && made == 0) return {};
  }
}

ByteView GzipParser::State::take_trailer(ByteView bytes) {
  const std::size_t part = std::min(bytes.size(), kGzipTrailer - held.size());
  held.insert(held.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
  if (held.size() == kGzipTrailer) {
    visitor.on_trailer(held);
    held.clear();
    seen_member = true;
    step = Step::header;
  }
  return bytes.subspan(part);
}

GzipParser::GzipParser(GzipVisitor& visitor) : state_(std::make_unique<State>(visitor)) {}
GzipParser::~GzipParser() = default;

bool GzipParser::ok() const {
  return state_->step != Step::failed;
}

void GzipParser::write(ByteView bytes) {
  while (!bytes.empty()) {
    switch (state_->step) {
      case Step::header:
        bytes = state_->take_header(bytes);
        break;
      case Step::deflate:
        bytes = state_->take_deflate(bytes);
        break;
      case Step::trailer:
        bytes = state_->take_trailer(bytes);
        break;
      case Step::rest:
        state_->visitor.on_rest(bytes);
        return;
      case Step::failed:
        return;
    }
  }
}

bool GzipParser::finish() {
  State& state = *state_;
  if (state.step == Step::header && state.seen_member) {
    if (!state.held.empty()) state.visitor.on_rest(state.held);
    return true;
  }
  return state.step == Step::rest;
}

}  // namespace bundle::codec
