#include "codec/zstd_inflater.h"

#include <zstd.h>

namespace bundle::codec {
namespace {

constexpr std::uint32_t kFrameMagic = 0xFD2FB528;

struct FreeStream {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

}  // namespace

bool is_zstd(ByteView start) {
  return start.size() >= 4 && load_le<std::uint32_t>(start.data()) == kFrameMagic;
}

struct ZstdInflater::State {
  explicit State(Sink& sink) : plain(sink) {
    ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kMaxStreamWindowLog);
  }
  Sink& plain;
  std::unique_ptr<ZSTD_DStream, FreeStream> stream{ZSTD_createDStream()};
  Bytes buffer = Bytes(ZSTD_DStreamOutSize());
  bool ok = true;
  bool between_frames = true;
};

ZstdInflater::ZstdInflater(Sink& plain) : state_(std::make_unique<State>(plain)) {}
ZstdInflater::~ZstdInflater() = default;

bool ZstdInflater::ok() const {
  return state_->ok;
}

void ZstdInflater::write(ByteView bytes) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  bool full = false;  // the decoder may hold more than one buffer of output
  while (state_->ok && (in.pos < in.size || full)) {
    ZSTD_outBuffer out{state_->buffer.data(), state_->buffer.size(), 0};
    const std::size_t rest = ZSTD_decompressStream(state_->stream.get(), &out, &in);
    if (ZSTD_isError(rest)) {
      state_->ok = false;
      return;
    }
    state_->between_frames = rest == 0;
    full = out.pos == out.size && rest != 0;
    if (out.pos > 0) state_->plain.write(ByteView(state_->buffer).first(out.pos));
  }
}

bool ZstdInflater::finish() {
  return state_->ok && state_->between_frames;
}

}  // namespace bundle::codec
