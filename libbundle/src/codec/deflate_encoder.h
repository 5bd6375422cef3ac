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
  // Emits the end of the stream. Nothing may be written afterwards.
  virtual void finish() = 0;
};

// Writes to `out`, which must outlive the encoder. Throws Error{unsupported} for a family that this
// program lacks, Error{recipe_invalid} for parameters out of range.
// Memory: under 1 MiB.
std::unique_ptr<DeflateEncoder> make_encoder(const EncoderSpec& spec, Sink& out);

// Groups of candidates, the likelier group first.
using CandidateTiers = std::vector<std::vector<EncoderSpec>>;

// Encoders in the order in which a builder should try them on a stream whose gzip header has the
// extra-flags byte `xfl` (RFC 1952: 2 slowest, 4 fastest): the usual ones, then unusual settings.
CandidateTiers encoder_candidates(std::uint8_t xfl);

}  // namespace bundle::codec
