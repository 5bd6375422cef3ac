#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/warm_up.h"

namespace bundle::codec {

/// Makes, bit for bit, the raw deflate stream of the Writer of Go's compress/flate up to Go 1.26
/// (proven against 1.26.8; Go 1.27 has another encoder).
///
/// Levels: 1..9, -1 (the same as 6), -2 (Huffman only), 0 (stored).
///
/// Memory per instance: under 640 KiB (levels 2..9: 512 KiB of tables, window and tokens plus
/// 64 KiB of output; level 1: 420 KiB; others: 165 KiB).
///
/// How the input is split between write() calls makes no difference here. In Go it makes none at
/// levels -2, 0 and 1, nor at any level as long as writes end on multiples of 512 bytes (io.Copy,
/// bufio, one large write). At levels 2..9 Go moves its window one step earlier when a Write ends
/// in the last 262 bytes before the window is full and parsing stopped exactly there; only
/// matches over distances above 32506 at that one position can differ. To replay such a writer,
/// call end_write() where its Write calls ended.
class GoDeflate {
 public:
  GoDeflate(int level, ByteSink sink);
  ~GoDeflate();
  GoDeflate(GoDeflate&&) noexcept;
  GoDeflate& operator=(GoDeflate&&) noexcept;

  static bool is_valid_level(int level) { return level >= -2 && level <= 9; }

  void write(std::span<const uint8_t> plain);
  /// One Write call of the original ended here. Needed for unaligned writers only, see above.
  void end_write();
  /// Writer.Flush(): ends the block and adds a sync marker.
  void flush();
  /// Writer.Close(). Nothing may follow.
  void finish();

  /// As those of ZlibDeflate.
  void begin_after(uint64_t plain, unsigned phase);
  BlockStart last_block() const;
  void drain();

  class Encoder;

 private:
  std::unique_ptr<Encoder> encoder_;
};

}  // namespace bundle::codec
