#include "codec/zstd.h"

#include <fmt/format.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "bundle/error.h"

namespace bundle::codec {
namespace {

// From here on zstd keeps a binary tree of the last 2^(chain_log - 1) positions.
constexpr int kTreeLevel = 16;

struct FreeDecoder {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
struct FreeEncoder {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

[[noreturn]] void fail(ErrorCode code, std::string_view what, std::string_view reason) {
  throw Error(code, fmt::format("{}: {}", what, reason),
              "The bundle was made wrong: ask the vendor for a new one.");
}

void set(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
  if (ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value))) {
    throw Error(ErrorCode::usage, fmt::format("zstd refuses parameter value {}", value));
  }
}

}  // namespace

std::uint64_t zstd_content_size(ByteView frame, std::string_view what) {
  const auto declared = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (declared == ZSTD_CONTENTSIZE_ERROR || declared == ZSTD_CONTENTSIZE_UNKNOWN) {
    fail(ErrorCode::pack_corrupt, what, "is not a zstd frame with a size");
  }
  return declared;
}

void zstd_decompress(ByteView frame, std::span<std::uint8_t> plain, std::string_view what,
                     ByteView prefix) {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecoder> context(ZSTD_createDCtx());
  if (zstd_content_size(frame, what) > plain.size())
    fail(ErrorCode::bomb, what, "inflates beyond what the index declares");
  if (!prefix.empty()) ZSTD_DCtx_refPrefix(context.get(), prefix.data(), prefix.size());
  const std::size_t got =
      ZSTD_decompressDCtx(context.get(), plain.data(), plain.size(), frame.data(), frame.size());
  if (ZSTD_isError(got)) fail(ErrorCode::pack_corrupt, what, ZSTD_getErrorName(got));
  if (got != plain.size()) fail(ErrorCode::pack_corrupt, what, "inflates to less than declared");
}

struct ZstdCompressor::State {
  std::unique_ptr<ZSTD_CCtx, FreeEncoder> context{ZSTD_createCCtx()};
};

ZstdCompressor::ZstdCompressor(const ZstdParams& params) : state_(std::make_unique<State>()) {
  ZSTD_CCtx* context = state_->context.get();
  set(context, ZSTD_c_compressionLevel, params.level);
  set(context, ZSTD_c_windowLog, params.window_log);
  if (params.chain_log != 0 && params.level >= kTreeLevel) {
    set(context, ZSTD_c_chainLog, params.chain_log);
  }
  set(context, ZSTD_c_enableLongDistanceMatching, params.long_matching ? 1 : 0);
  set(context, ZSTD_c_contentSizeFlag, 1);
  set(context, ZSTD_c_checksumFlag, 0);
}
ZstdCompressor::~ZstdCompressor() = default;
ZstdCompressor::ZstdCompressor(ZstdCompressor&&) noexcept = default;

Bytes ZstdCompressor::compress(ByteView plain, ByteView prefix) {
  if (!prefix.empty()) {
    ZSTD_CCtx_refPrefix(state_->context.get(), prefix.data(), prefix.size());
  }
  Bytes frame(ZSTD_compressBound(plain.size()));
  const std::size_t size =
      ZSTD_compress2(state_->context.get(), frame.data(), frame.size(), plain.data(), plain.size());
  if (ZSTD_isError(size)) throw Error(ErrorCode::internal, ZSTD_getErrorName(size));
  frame.resize(size);
  frame.shrink_to_fit();
  return frame;
}

}  // namespace bundle::codec
