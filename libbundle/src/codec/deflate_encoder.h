// Deflate encoders that give back, bit for bit, what the encoder that made an image layer gave.
// The families are those of docs/bundle-format.md section 5.1.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "codec/deflate/klauspost_deflate.h"
#include "io/stream.h"

namespace bundle::codec {

// Which encoder, and how it was set. Comparable, printable.
struct EncoderSpec {
  std::uint32_t family = 0;
  Bytes params;
  bool operator==(const EncoderSpec&) const = default;
};

inline constexpr std::uint32_t kZlibFamily = 1;
inline constexpr std::uint32_t kGoFamily = 2;         // Go compress/flate up to 1.26
inline constexpr std::uint32_t kKlauspostFamily = 3;  // klauspost/compress, and Go from 1.27 on
inline constexpr std::uint32_t kPgzipFamily = 4;      // klauspost/pgzip over that
inline constexpr std::uint32_t kPigzFamily = 5;       // pigz over zlib
inline constexpr std::uint32_t kTokenFamily = 6;      // predicted tokens: codec/token_coder.h

EncoderSpec zlib_spec(int level, int mem_level, int strategy);
EncoderSpec go_spec(int level);
EncoderSpec klauspost_spec(int level, KlauspostVersion version = KlauspostVersion::v1_18);
EncoderSpec pgzip_spec(int level, std::uint32_t block_bytes,
                       KlauspostVersion version = KlauspostVersion::v1_18);
// `independent`: without the block before as dictionary (option -i).
EncoderSpec pigz_spec(int level, std::uint32_t block_bytes, bool independent);
// True for the levels (1, 5, 6) and the version of families 3 and 4 that readers have had longer.
bool is_first_klauspost(const EncoderSpec& spec);
std::string describe(const EncoderSpec& spec);  // "zlib level 6, memLevel 8"

// Makes a raw deflate stream (RFC 1951). Any split of the input gives the same output.
class DeflateEncoder : public Sink {
 public:
  enum class Flush : std::uint8_t { sync = 0, full = 1 };

  // Emits the end of the stream. Nothing may be written afterwards.
  virtual void finish() = 0;
  // Ends the block with a sync marker, as the Flush() of the original; full: forgets the past, too
  // (zlib). Throws Error{recipe_invalid} where the original has no such call.
  virtual void flush(Flush kind);

  // For restart points. Before the first write(): the first `plain` bytes are only learnt from, and
  // the output begins with the block that starts there, `phase` bits (0 to 7, left zero) into its
  // first byte. What is made is what a whole encoder makes there if restart_rule() was kept and its
  // choices were the same: whoever makes the recipe has to prove that. Throws
  // Error{recipe_invalid} if the encoder cannot.
  virtual void begin_after(std::uint64_t plain, unsigned phase);
  // The last block that was begun. A block's start may only be known later.
  virtual BlockStart last_block() const { return {}; }
  // Gives the whole bytes made so far to the sink.
  virtual void drain() {}
};

// Where an encoder has to begin to learn for a restart at plain byte p: at the last place that is
// at least `before` bytes before p and a multiple of `unit` bytes behind the start of the stream
// (or of the last flush, for an encoder whose blocks a flush cuts anew). No unit: it cannot
// restart.
struct RestartRule {
  std::uint64_t unit = 0;
  std::uint64_t before = 0;
  bool from_flush = false;  // units and blocks count from the last flush
  std::uint64_t block = 1;  // p is a multiple of that
};
RestartRule restart_rule(const EncoderSpec& spec);

// Writes to `out`, which must outlive the encoder. Throws Error{unsupported} for a family that this
// program lacks, Error{recipe_invalid} for parameters out of range.
// Memory: under 1 MiB.
std::unique_ptr<DeflateEncoder> make_encoder(const EncoderSpec& spec, Sink& out);

// About how many seconds one core takes to make the deflate stream of 1 GB of plain bytes (the
// figures of docs/performance.md): to weigh bytes against time, no more.
unsigned replay_cost(const EncoderSpec& spec);

// Groups of candidates, the likelier group first.
using CandidateTiers = std::vector<std::vector<EncoderSpec>>;

// Encoders in the order in which a builder should try them on a stream whose gzip header has the
// extra-flags byte `xfl` (RFC 1952: 2 slowest, 4 fastest): the usual ones, then unusual settings.
CandidateTiers encoder_candidates(std::uint8_t xfl);

}  // namespace bundle::codec
