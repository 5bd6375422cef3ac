#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "codec/deflate/zlib_deflate.h"

namespace bundle::codec {

/// Makes the deflate stream of pigz, versions 2.3 to 2.8 at levels 1 to 9 with more than one thread
/// (with one thread it makes a plain zlib stream): blocks that are compressed on their own, with
/// the 32 KiB before as dictionary, and end on a byte boundary.
class PigzDeflate {
 public:
  static constexpr size_t kDictionaryBytes = 32 * 1024;

  /// `independent`: without dictionary (option -i).
  PigzDeflate(int level, ByteSink sink, size_t block_bytes, bool independent);

  void write(std::span<const uint8_t> plain);
  void finish();

  /// As those of ZlibDeflate; `plain` leads to the start of a block, and `phase` is 0.
  void begin_after(uint64_t plain, unsigned phase);
  BlockStart last_block() const { return last_block_; }
  void drain() { zlib_.drain(); }

 private:
  void end_block();
  void keep_tail(std::span<const uint8_t> part);
  std::span<const uint8_t> dictionary() const;

  uint64_t made_ = 0;  // bytes given to the sink

  ZlibDeflate zlib_;
  size_t block_bytes_;
  bool independent_;
  uint64_t done_ = 0;     // bytes before the block
  uint64_t learned_ = 0;  // bytes still to learn from
  BlockStart last_block_;
  size_t in_block_ = 0;
  size_t tail_size_ = 0;
  std::unique_ptr<uint8_t[]> tail_;  // the last bytes so far
};

}  // namespace bundle::codec
