// Finds the encoder that made a deflate stream, by trying: encode the plain bytes again with every
// candidate and keep those whose output is the original.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "codec/deflate_encoder.h"

namespace bundle::codec {

// Fed with a deflate stream and what it inflates to, side by side. The start of both is held until
// it shows a whole block of any usual encoder. Then the candidates are tried on it one after the
// other, tier by tier: a later tier only if nothing of those before fits. The first kFinalists that
// fit go on side by side (some encoders differ only later: pgzip ends its first block after 1 MiB).
// Memory: the held start (kMaxProbe and its compressed form), up to 1 MiB a finalist, and at most
// kMaxLag of the stream.
class EncoderMatch {
 public:
  static constexpr std::uint64_t kMinProbe = 256 << 10;        // plain bytes held at least
  static constexpr std::uint64_t kProbeCompressed = 96 << 10;  // and compressed ones
  static constexpr std::uint64_t kMaxProbe = 4 << 20;          // plain bytes held at most
  static constexpr std::size_t kFinalists = 4;
  static constexpr std::size_t kMaxLag = 8 << 20;

  explicit EncoderMatch(CandidateTiers tiers);
  ~EncoderMatch();

  // The original's next bytes, before the plain bytes that they inflate to.
  void deflate(ByteView compressed);
  void plain(ByteView bytes);
  // True when no candidate is left: what remains need not be fed.
  bool hopeless() const { return chosen_ && runners_.empty(); }
  // The encoder that gives back the whole stream, if there is one.
  std::optional<EncoderSpec> finish();

 private:
  class Runner;
  bool probe_is_long_enough() const;
  void choose_finalists();
  std::unique_ptr<Runner> try_on_probe(const EncoderSpec& spec) const;
  void drop_failed();
  void trim();
  std::uint64_t original_end() const { return original_start_ + original_.size(); }

  CandidateTiers tiers_;
  bool chosen_ = false;  // the finalists run
  Bytes probe_;          // plain bytes, until then
  std::vector<std::unique_ptr<Runner>> runners_;
  Bytes original_;  // from offset original_start_ of the stream
  std::uint64_t original_start_ = 0;
};

}  // namespace bundle::codec
