#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/warm_up.h"

namespace bundle::codec {

/// Versions of github.com/klauspost/compress that make different streams. The values are those of
/// docs/bundle-format.md section 5.1.
enum class KlauspostVersion : uint8_t {
  v1_18 = 0,  // 1.18.0
  v1_15 = 1,  // 1.15 to 1.17: as 1.18.0 but for level 4
  v1_19 = 2,  // 1.18.2 to 1.19, and compress/flate from Go 1.27 on
  v1_20 = 3,  // 1.20: as 1.19 but for levels 7 to 9 with a dictionary
};

/// Makes, bit for bit, the raw deflate stream of the Writer of github.com/klauspost/compress/flate
/// (proven against 1.17.11, 1.18.0, 1.19.2 and 1.20.3 as compiled for amd64: the original weighs
/// block sizes in 32-bit floating point).
///
/// How the input is split between write() calls makes no difference, here and in the original.
/// Memory per instance: under 1 MiB.
class KlauspostDeflate {
 public:
  /// `dictionary` is what NewWriterDict or ResetDict got: at most its last 32 KiB count.
  KlauspostDeflate(int level, ByteSink sink, KlauspostVersion version = KlauspostVersion::v1_18,
                   std::span<const uint8_t> dictionary = {});
  ~KlauspostDeflate();
  KlauspostDeflate(KlauspostDeflate&&) noexcept;
  KlauspostDeflate& operator=(KlauspostDeflate&&) noexcept;

  /// 1 to 9, and -1 (the same as 5).
  static bool is_valid_level(int level);

  void write(std::span<const uint8_t> plain);
  /// Writer.Flush(): ends the block and adds a sync marker.
  void flush();
  /// Writer.Close(). Only reset() may follow.
  void finish();
  /// Writer.ResetDict(): a new stream to the same sink.
  void reset(std::span<const uint8_t> dictionary = {});

  /// As those of ZlibDeflate.
  void begin_after(uint64_t plain, unsigned phase);
  BlockStart last_block() const;
  void drain();

  class Encoder;

 private:
  std::unique_ptr<Encoder> encoder_;
};

/// Makes the deflate stream of github.com/klauspost/pgzip, versions 1.2 and 1.3: blocks that are
/// compressed on their own, with the end of the block before as dictionary, and end in a sync
/// marker.
class PgzipDeflate {
 public:
  static constexpr size_t kDefaultBlockBytes = size_t{1} << 20;  // SetConcurrency() changes it
  static constexpr size_t kDictionaryBytes = 16 * 1024;

  PgzipDeflate(int level, ByteSink sink, size_t block_bytes = kDefaultBlockBytes,
               KlauspostVersion version = KlauspostVersion::v1_18);

  void write(std::span<const uint8_t> plain);
  void flush();
  void finish();

  /// As those of ZlibDeflate; `plain` leads to the start of a block, and `phase` is 0.
  void begin_after(uint64_t plain, unsigned phase);
  BlockStart last_block() const { return last_block_; }
  void drain() { encoder_.drain(); }

 private:
  void end_block();
  void keep_tail(std::span<const uint8_t> part);

  uint64_t made_ = 0;  // bytes given to the sink
  KlauspostDeflate encoder_;
  size_t block_bytes_;
  uint64_t done_ = 0;     // bytes before the block
  uint64_t learned_ = 0;  // bytes still to learn from
  BlockStart last_block_;
  size_t in_block_ = 0;
  size_t tail_size_ = 0;
  std::unique_ptr<uint8_t[]> tail_;  // the last bytes of the block so far
};

}  // namespace bundle::codec
