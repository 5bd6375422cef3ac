// Where large data is cut into objects.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace bundle::pack {

// FastCDC (Xia et al., USENIX ATC 2016) with normalised chunking: a cut depends on the 64 bytes
// before it only, so what moves keeps its chunks. Disk images, whose content moves by whole blocks,
// are cut every kDiskBlock bytes instead.
class Chunker {
 public:
  static constexpr std::size_t kMin = 16 << 10;
  static constexpr std::size_t kUsual = 64 << 10;
  static constexpr std::size_t kMax = 256 << 10;
  static constexpr std::size_t kDiskBlock = 64 << 10;

  // A new stretch of data: what is known of the last one is forgotten.
  void start();
  // How many bytes from the front of `bytes` still belong to the chunk that has `chunk` bytes so
  // far. After that the chunk is `complete`, or `bytes` are used up.
  std::size_t take(ByteView chunk, ByteView bytes, bool& complete);

 private:
  enum class Kind : std::uint8_t { unknown, content, disk };
  static bool is_disk_image(ByteView start);

  Kind kind_ = Kind::unknown;
  std::uint64_t hash_ = 0;
};

}  // namespace bundle::pack
