// Finds the encoder that made a deflate stream, by trying: encode the plain bytes again with every
// candidate and keep those whose output is the original.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "codec/stream_parts.h"

namespace bundle::codec {

struct DeflateBlock;
struct EncoderMender;
class EncoderRunner;

// The bytes of the original that are still needed.
struct OriginalBytes {
  Bytes bytes;
  std::uint64_t start = 0;  // of the stream, the first of them

  std::uint64_t end() const { return start + bytes.size(); }
  ByteView from(std::uint64_t offset) const {
    return ByteView(bytes).subspan(static_cast<std::size_t>(offset - start));
  }
};

// Fed with a deflate stream and what it inflates to, side by side. The start of both is held until
// it shows a whole block of any usual encoder. Then the candidates are tried on it one after the
// other, tier by tier: a later tier only if nothing of those before fits. The first kFinalists that
// fit go on side by side (some encoders differ only later: pgzip ends its first block after 1 MiB).
//
// Every kPartPlain a second encoder of the first finalist's kind is begun at a block's start, after
// it has learnt from some bytes before; if it makes the same from there on, the stream can be made
// in parts, and it goes on in the place of the first. So each part is proven as it will be made.
//
// When the last encoder leaves the original, the blocks of the original are looked at: it may have
// been flushed there, or it goes on behind some blocks that are kept verbatim.
//
// Memory: the held start (kMaxProbe and its compressed form), up to 1 MiB a finalist, 2 kHistory,
// and at most kMaxLag of the stream.
class EncoderMatch {
 public:
  static constexpr std::uint64_t kMinProbe = 256 << 10;        // plain bytes held at least
  static constexpr std::uint64_t kProbeCompressed = 96 << 10;  // and compressed ones
  static constexpr std::uint64_t kMaxProbe = 4 << 20;          // plain bytes held at most
  static constexpr std::uint64_t kMinMatched = 8 << 10;  // compressed, of one that fails within
  static constexpr std::size_t kFinalists = 4;
  static constexpr std::size_t kMaxLag = 8 << 20;
  static constexpr std::uint64_t kPartPlain = 4 << 20;     // plain bytes of a part at least
  static constexpr std::uint64_t kProofPlain = 512 << 10;  // seen of a new part until it is trusted
  static constexpr std::uint64_t kRetryPlain = 256 << 10;  // to the next try after one that failed
  static constexpr std::size_t kHistory = 6 << 20;         // plain bytes kept
  // Bits are kept for one place at most, and of the stream so much more.
  static constexpr std::uint64_t kMaxStretch = 512 << 10;
  static constexpr std::uint64_t kVerbatimShare = 10;
  // With more parts than that, shorter ones cost too much time.
  static constexpr std::size_t kManyParts = 64;
  static constexpr std::uint64_t kMinMeanPart = 96 << 10;

  explicit EncoderMatch(CandidateTiers tiers);
  ~EncoderMatch();

  // The original's next bytes, before the plain bytes that they inflate to.
  void deflate(ByteView compressed);
  void plain(ByteView bytes);
  // True when no candidate is left: what remains need not be fed.
  bool hopeless() const { return chosen_ && runners_.empty() && mender_ == nullptr; }
  // The encoder that gives back the whole stream, if there is one.
  std::optional<EncoderSpec> finish();
  // After finish(): the parts that it can be made in, if there are several, and the bits of the
  // verbatim ones. With verbatim ones or flushes it can only be made so.
  std::vector<StreamPart> take_parts() { return std::move(parts_); }
  Bytes take_verbatim() { return std::move(verbatim_); }

 private:
  bool probe_is_long_enough() const;
  void choose_finalists();
  void drop_failed();
  void follow(ByteView plain);
  void trim();
  std::optional<EncoderSpec> whole(const EncoderSpec& spec);

  ByteView history_from(std::uint64_t plain) const;
  std::unique_ptr<EncoderRunner> runner_at(const EncoderSpec& spec, const BlockStart& at,
                                           const std::vector<FlushAt>& flushes) const;
  void try_restart();
  void prove_restart(ByteView plain);
  void end_part(const BlockStart& end, bool verbatim);
  void forget_parts();

  void mend(const EncoderRunner& failed);
  bool mend_with_other_flush(const EncoderRunner& failed);
  bool go_on_mending();
  void mend_at(const DeflateBlock& block, const BlockStart& end);
  bool mend_with_flush(const BlockStart& at, const BlockStart& end);
  void keep_verbatim(const BlockStart& end);
  void go_on_with(std::unique_ptr<EncoderRunner> runner);
  std::optional<EncoderSpec> mended_to_the_end();

  CandidateTiers tiers_;
  bool chosen_ = false;  // the finalists run
  // The first one makes the part under way, the others the stream from its start.
  std::vector<std::unique_ptr<EncoderRunner>> runners_;
  std::unique_ptr<EncoderRunner> restart_;  // begun at restart_at_, not yet trusted
  BlockStart restart_at_;
  std::uint64_t next_try_ = kPartPlain;
  std::unique_ptr<EncoderMender> mender_;
  std::vector<StreamPart> parts_;
  BlockStart part_start_;
  std::vector<FlushAt> flushes_;  // of the stream so far
  Bytes verbatim_;
  Bytes history_;                // plain bytes up to plain_end_
  std::uint64_t plain_end_ = 0;  // of what the runners have seen
  OriginalBytes original_;
};

}  // namespace bundle::codec
