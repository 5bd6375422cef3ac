// Finds the encoder that made a deflate stream, by trying: encode the plain bytes again with every
// candidate and keep those whose output is the original.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "codec/deflate_encoder.h"

namespace bundle::codec {

// Fed with a deflate stream and what it inflates to, side by side. All candidates run on the first
// kProbe plain bytes; of those that still match, the first kFinalists go on (some encoders differ
// only later: pgzip ends its first block after 1 MiB).
// Memory: up to 1 MiB a candidate under way, and at most kMaxLag of the stream.
class EncoderMatch {
 public:
  static constexpr std::uint64_t kProbe = 256 << 10;
  static constexpr std::size_t kFinalists = 4;
  static constexpr std::size_t kMaxLag = 8 << 20;

  explicit EncoderMatch(const std::vector<EncoderSpec>& candidates);
  ~EncoderMatch();

  // The original's next bytes, before the plain bytes that they inflate to.
  void deflate(ByteView compressed);
  void plain(ByteView bytes);
  // True when no candidate is left: what remains need not be fed.
  bool hopeless() const { return runners_.empty(); }
  // The encoder that gives back the whole stream, if there is one.
  std::optional<EncoderSpec> finish();

 private:
  class Runner;
  void drop_failed();
  void trim();

  std::vector<std::unique_ptr<Runner>> runners_;
  Bytes original_;               // from offset original_start_ of the stream
  std::uint64_t original_start_ = 0;
  std::uint64_t plain_seen_ = 0;
};

}  // namespace bundle::codec
