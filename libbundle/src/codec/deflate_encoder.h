// Deflate encoders that give back, bit for bit, what the encoder that made an image layer gave.
// The families are those of docs/bundle-format.md section 5.1.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
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
inline constexpr std::uint32_t kKlauspostFamily = 3;  // klauspost/compress 1.15 to 1.18
inline constexpr std::uint32_t kPgzipFamily = 4;      // klauspost/pgzip over that

EncoderSpec zlib_spec(int level, int mem_level, int strategy);
EncoderSpec go_spec(int level);
EncoderSpec klauspost_spec(int level);
EncoderSpec pgzip_spec(int level, std::uint32_t block_bytes);
std::string describe(const EncoderSpec& spec);  // "zlib level 6, memLevel 8"

// Makes a raw deflate stream (RFC 1951). Any split of the input gives the same output.
class DeflateEncoder : public Sink {
 public:
  // Emits the end of the stream. Nothing may be written afterwards.
  virtual void finish() = 0;
};

// Writes to `out`, which must outlive the encoder. Throws Error{unsupported} for a family that this
// program lacks, Error{recipe_invalid} for parameters out of range.
// Memory: zlib 260 KiB, the others under 1 MiB.
std::unique_ptr<DeflateEncoder> make_encoder(const EncoderSpec& spec, Sink& out);

// Encoders in the order in which a builder should try them on a stream whose gzip header has the
// extra-flags byte `xfl` (RFC 1952: 2 slowest, 4 fastest).
std::vector<EncoderSpec> encoder_candidates(std::uint8_t xfl);

}  // namespace bundle::codec
