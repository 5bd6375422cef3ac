// A long deflate stream in parts that can be made independently of each other: each begins with an
// encoder that first learns from the plain bytes before it. docs/bundle-format.md section 5.4.
#pragma once

#include <span>
#include <vector>

#include "codec/deflate_encoder.h"

namespace bundle::codec {

// Flush() of the original, so many plain bytes behind the start of the stream (or of a part).
struct FlushAt {
  std::uint64_t plain = 0;
  DeflateEncoder::Flush kind = DeflateEncoder::Flush::sync;
  bool operator==(const FlushAt&) const = default;
};

struct StreamPart {
  std::uint64_t plain = 0;       // bytes that it stands for
  std::uint64_t bits = 0;        // of the stream; those of the last one end on a byte boundary
  bool verbatim = false;         // no encoder makes its bits: they are kept
  std::vector<FlushAt> flushes;  // within it, from its start
};

// Bytes behind a part that an encoder may need to see before it has made all of the part.
inline constexpr std::uint64_t kPartTail = 160 << 10;
// Of one part: bounds the memory of whoever makes it.
inline constexpr std::uint64_t kMaxPartPlain = 16 << 20;
// Of one stream:
inline constexpr std::uint64_t kMaxStreamParts = 1 << 16;
inline constexpr std::uint64_t kMaxStreamFlushes = 1 << 16;
inline constexpr std::uint64_t kMaxVerbatimBytes = 16 << 20;
// Most bits that a part of so many bytes can have: stored blocks and flushes.
constexpr std::uint64_t max_part_bits(const StreamPart& part) {
  return part.plain * 9 + (part.flushes.size() + 4) * 256 + 4096;
}

// Where an encoder for a part at plain byte `start` begins to learn. `flushes` are those of the
// stream, ascending. Only for encoders whose restart_rule() has a unit.
std::uint64_t learning_start(const RestartRule& rule, std::span<const FlushAt> flushes,
                             std::uint64_t start);
// Whether a part may start there at all.
bool can_start(const RestartRule& rule, std::span<const FlushAt> flushes, std::uint64_t start);

// What one part is made of. Plain offsets count from the first byte of `plain`.
struct PartInput {
  EncoderSpec spec;
  Bytes plain;                   // to learn from, the part, and kPartTail or the rest of the stream
  std::uint64_t learn = 0;       // so many of them are only learnt from
  std::vector<FlushAt> flushes;  // none at 0
  unsigned phase = 0;            // bits of the first byte that belong to the part before
  std::uint64_t bits = 0;
};

// The part's bits, `phase` zero bits before them and zero bits behind them up to a byte boundary.
// Throws Error{recipe_invalid} when the encoder makes fewer.
Bytes encode_part(const PartInput& input);

// Joins parts to bytes.
class PartJoiner {
 public:
  // `passed_bits`: of parts that are left out before the first one.
  explicit PartJoiner(Sink& out, std::uint64_t passed_bits = 0) : out_(out), bits_(passed_bits) {}
  // `bytes` as encode_part() gives them for a phase of phase().
  void add(Bytes bytes, std::uint64_t bits);
  unsigned phase() const { return static_cast<unsigned>(bits_ % 8); }

 private:
  Sink& out_;
  std::uint64_t bits_;
  std::uint8_t open_ = 0;  // the byte that is not yet full
};

}  // namespace bundle::codec
