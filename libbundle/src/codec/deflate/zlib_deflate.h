#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "codec/deflate/bit_writer.h"
#include "crypto/digest.h"

namespace bundle::codec {

/// deflate() of the zlib of this machine: raw, window 15. Any split of the input gives the same
/// output. Memory: 260 KiB at memLevel 8.
class ZlibDeflate {
 public:
  /// Level 1..9, memLevel 1..9, strategy 0..4 as zlib.h numbers them.
  ZlibDeflate(int level, ByteSink sink, int mem_level, int strategy);
  ~ZlibDeflate();
  ZlibDeflate(const ZlibDeflate&) = delete;
  ZlibDeflate& operator=(const ZlibDeflate&) = delete;

  void write(std::span<const uint8_t> plain);
  void finish();

 private:
  friend class PigzDeflate;
  struct State;
  void run(std::span<const uint8_t> plain, int flush);

  std::unique_ptr<State> state_;
};

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

/// SHA-256 of what zlib makes of a fixed sample at all levels and strategies.
Digest zlib_sample_digest();
/// The same of zlib 1.2.11 to 1.3.1 as Debian and Ubuntu build them.
inline constexpr std::string_view kKnownZlibSample =
    "sha256:384a49004c8187820e18cdc527e7cc7371aa08e049a3d67ae9714c47cb279ee2";
std::string zlib_build();

}  // namespace bundle::codec
