// Zstandard frames (RFC 8878) behind one adapter.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace bundle::codec {

// Decodes one frame into exactly `plain`. Throws Error{pack_corrupt} naming `what` when it is no
// such frame, and Error{bomb} when it holds more than plain.size() bytes.
// `prefix` is what the encoder was given as such (raw content, not a trained dictionary).
// Memory: the decoder's tables (about 150 KiB); the output is its own window.
void zstd_decompress(ByteView frame, std::span<std::uint8_t> plain, std::string_view what,
                     ByteView prefix = {});

// What the frame says it inflates to. Throws Error{pack_corrupt} naming `what` when it does not
// say.
std::uint64_t zstd_content_size(ByteView frame, std::string_view what);

struct ZstdParams {
  int level = 19;       // zstd's levels, 1 to 19
  int window_log = 24;  // upper bound; a smaller input uses less
  bool long_matching = false;
  // From level 16 on: log2 of twice the bytes back to which every match is found; 0: the level's.
  int chain_log = 0;
};

// Encodes frames with the content size in their header. Same input and parameters give the same
// bytes. One per thread. Memory: at level 19 four times 2^chain_log bytes and 30 MiB, at level 3
// about 3 MiB.
class ZstdCompressor {
 public:
  explicit ZstdCompressor(const ZstdParams& params);
  ~ZstdCompressor();
  ZstdCompressor(ZstdCompressor&&) noexcept;

  // With a prefix the frame can point into it; the decoder needs the same bytes.
  Bytes compress(ByteView plain, ByteView prefix = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bundle::codec
