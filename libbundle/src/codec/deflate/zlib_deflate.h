#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/warm_up.h"

namespace bundle::codec {

/// Makes, bit for bit, the raw deflate stream (window 15) of zlib 1.2.12 to 1.3.1 (proven against
/// 1.2.13). No zlib takes part: builds of it differ in what they make.
///
/// How the input is split between write() calls makes no difference, here and in the original.
/// Memory per instance: under 500 KiB.
class ZlibDeflate {
 public:
  /// What deflate() is asked for besides Z_NO_FLUSH and Z_FINISH.
  enum class Flush : uint8_t { block, partial, sync, full };

  /// Level 1..9, memLevel 1..9, strategy 0..4 as zlib.h numbers them.
  ZlibDeflate(int level, ByteSink sink, int mem_level, int strategy);
  ~ZlibDeflate();
  ZlibDeflate(ZlibDeflate&&) noexcept;
  ZlibDeflate& operator=(ZlibDeflate&&) noexcept;

  void write(std::span<const uint8_t> plain);
  void flush(Flush kind);
  void finish();

  /// Before the first write(): `plain` bytes will be written to learn from, then the output begins
  /// with the block that starts there, `phase` bits (0 to 7) into its first byte.
  void begin_after(uint64_t plain, unsigned phase);
  /// The last block that was begun.
  BlockStart last_block() const;
  /// Gives the whole bytes made so far to the sink.
  void drain();

  /// deflateReset(), then deflateSetDictionary() unless it is empty: a new stream behind what was
  /// written, whose bits follow at once.
  void reset(std::span<const uint8_t> dictionary);
  /// Bits of the byte under way (deflatePending()), 0 to 7.
  unsigned pending_bits() const;
  /// An empty block with fixed codes: ten bits (deflatePrime()).
  void add_empty_block();

  class Encoder;

 private:
  std::unique_ptr<Encoder> encoder_;
};

}  // namespace bundle::codec
