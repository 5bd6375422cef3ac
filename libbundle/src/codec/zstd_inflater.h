// Zstandard files (RFC 8878) inflated while they pass.
#pragma once

#include <memory>

#include "io/stream.h"

namespace bundle::codec {

// Frames with a larger window are refused: the decoder's memory. zstd's own limit is the same.
inline constexpr int kMaxStreamWindowLog = 27;

bool is_zstd(ByteView start);  // by the frame's magic number

// Inflates frame after frame into `plain`. Not thread-safe. Memory: the frame's window, at most
// 2^kMaxStreamWindowLog bytes, and 128 KiB.
class ZstdInflater final : public Sink {
 public:
  explicit ZstdInflater(Sink& plain);
  ~ZstdInflater() override;

  // False from the first byte that cannot belong to a zstd file on; further bytes are ignored.
  bool ok() const;
  void write(ByteView bytes) override;
  // True when the file ended where a frame ended.
  bool finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bundle::codec
