// An encoder whose output is compared with an original: the worker of EncoderMatch.
#pragma once

#include <algorithm>
#include <bit>
#include <memory>
#include <vector>

#include "codec/encoder_match.h"
#include "codec/stream_parts.h"

namespace bundle::codec {

class EncoderRunner final : public Sink {
 public:
  // Output begins at the block `at`; the first byte fed is the one at plain offset `learn_from`.
  // `flushes` are those of the whole stream that are known. `original` must outlive it.
  EncoderRunner(const OriginalBytes& original, const EncoderSpec& spec, const BlockStart& at = {},
                std::uint64_t learn_from = 0, const std::vector<FlushAt>& flushes = {})
      : original_(original),
        spec_(spec),
        learn_from_(learn_from),
        plain_(learn_from),
        first_byte_(at.bit / 8),
        phase_(static_cast<unsigned>(at.bit % 8)),
        matched_(first_byte_),
        good_block_(at),
        encoder_(make_encoder(spec, *this)) {
    for (const FlushAt& flush : flushes) {
      if (flush.plain > learn_from) flushes_.push_back(flush);
    }
    if (at.plain != learn_from) encoder_->begin_after(at.plain - learn_from, phase_);
  }

  void write(ByteView bytes) override {
    if (failed_ || bytes.empty()) return;
    const ByteView original = original_.from(matched_);
    const bool shared = matched_ == first_byte_ && phase_ != 0;  // with the part before
    std::size_t same = 0;
    if (shared && !original.empty() && original.front() >> phase_ == bytes.front() >> phase_)
      same = 1;
    if (same == 1 || !shared) {
      const std::size_t most = std::min(bytes.size(), original.size());
      while (same < most && bytes[same] == original[same]) ++same;
    }
    matched_ += same;
    failed_ = same != bytes.size();
    if (same < std::min(bytes.size(), original.size())) {
      const auto different = static_cast<std::uint8_t>(bytes[same] ^ original[same]);
      more_bits_ = static_cast<unsigned>(std::countr_zero(different));
    }
  }

  // False as soon as the output differs.
  bool feed(ByteView plain) {
    constexpr std::size_t kStep = 64 << 10;
    while (!failed_ && !plain.empty()) {
      std::size_t count = std::min(kStep, plain.size());
      const bool flushed = !flushes_.empty() && flushes_.front().plain - plain_ <= count;
      if (flushed) count = static_cast<std::size_t>(flushes_.front().plain - plain_);
      encoder_->write(plain.first(count));
      plain_ += count;
      if (flushed) {
        encoder_->flush(flushes_.front().kind);
        flushes_.erase(flushes_.begin());
      }
      encoder_->drain();
      plain = plain.subspan(count);
      if (!failed_) good_block_ = last_block();
    }
    return !failed_;
  }
  // True when all of the original was made.
  bool finish() {
    encoder_->finish();
    finished_ = true;
    failed_ = failed_ || matched_ != original_.end();
    return !failed_;
  }
  const EncoderSpec& spec() const { return spec_; }
  bool failed() const { return failed_; }
  bool finished() const { return finished_; }
  std::uint64_t matched() const { return matched_; }  // bytes of the stream
  std::uint64_t matched_bits() const { return matched_ * 8 + more_bits_; }
  // The last block that was begun before anything failed; of the whole stream.
  BlockStart good_block() const { return good_block_; }

 private:
  BlockStart last_block() const {
    const BlockStart last = encoder_->last_block();
    if (last.plain == 0) return good_block_;  // none yet
    return {learn_from_ + last.plain, first_byte_ * 8 + last.bit};
  }

  const OriginalBytes& original_;
  const EncoderSpec spec_;
  std::vector<FlushAt> flushes_;  // to come
  std::uint64_t learn_from_;
  std::uint64_t plain_;  // fed so far, of the stream
  std::uint64_t first_byte_;
  unsigned phase_;
  std::uint64_t matched_;
  unsigned more_bits_ = 0;
  bool failed_ = false;
  bool finished_ = false;
  BlockStart good_block_;
  std::unique_ptr<DeflateEncoder> encoder_;
};

}  // namespace bundle::codec
