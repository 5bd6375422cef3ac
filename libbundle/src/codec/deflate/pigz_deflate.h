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

 private:
  void end_block();

  ZlibDeflate zlib_;
  size_t block_bytes_;
  bool independent_;
  size_t in_block_ = 0;
  size_t tail_size_ = 0;
  std::unique_ptr<uint8_t[]> tail_;  // the last bytes so far
};

}  // namespace bundle::codec
