#include "codec/encoder_match.h"

#include <algorithm>

namespace bundle::codec {

// One candidate: its encoder writes into it and it compares.
class EncoderMatch::Runner final : public Sink {
 public:
  Runner(const EncoderMatch& match, const EncoderSpec& spec)
      : match_(match), spec_(spec), encoder_(make_encoder(spec, *this)) {}

  void write(ByteView bytes) override {
    if (failed_) return;
    const ByteView original =
        ByteView(match_.original_)
            .subspan(static_cast<std::size_t>(matched_ - match_.original_start_));
    if (bytes.size() > original.size() ||
        !std::equal(bytes.begin(), bytes.end(), original.begin())) {
      failed_ = true;
      return;
    }
    matched_ += bytes.size();
  }

  // False as soon as the output differs.
  bool feed(ByteView plain) {
    constexpr std::size_t kStep = 64 << 10;
    while (!failed_ && !plain.empty()) {
      const ByteView part = plain.first(std::min(kStep, plain.size()));
      encoder_->write(part);
      plain = plain.subspan(part.size());
    }
    return !failed_;
  }
  // True when all of the original was made.
  bool finish() {
    encoder_->finish();
    return !failed_ && matched_ == match_.original_end();
  }
  const EncoderSpec& spec() const { return spec_; }
  bool failed() const { return failed_; }
  std::uint64_t matched() const { return matched_; }

 private:
  const EncoderMatch& match_;
  EncoderSpec spec_;
  std::uint64_t matched_ = 0;
  bool failed_ = false;
  std::unique_ptr<DeflateEncoder> encoder_;
};

EncoderMatch::EncoderMatch(CandidateTiers tiers) : tiers_(std::move(tiers)) {}
EncoderMatch::~EncoderMatch() = default;

void EncoderMatch::deflate(ByteView compressed) {
  if (hopeless()) return;
  original_.insert(original_.end(), compressed.begin(), compressed.end());
}

void EncoderMatch::plain(ByteView bytes) {
  if (hopeless()) return;
  if (!chosen_) {
    probe_.insert(probe_.end(), bytes.begin(), bytes.end());
    if (probe_is_long_enough()) choose_finalists();
    return;
  }
  for (const auto& runner : runners_) runner->feed(bytes);
  drop_failed();
  trim();
}

bool EncoderMatch::probe_is_long_enough() const {
  if (probe_.size() >= kMaxProbe) return true;
  return probe_.size() >= kMinProbe && original_.size() >= kProbeCompressed;
}

std::unique_ptr<EncoderMatch::Runner> EncoderMatch::try_on_probe(const EncoderSpec& spec) const {
  auto runner = std::make_unique<Runner>(*this, spec);
  return runner->feed(probe_) ? std::move(runner) : nullptr;
}

void EncoderMatch::choose_finalists() {
  for (const auto& tier : tiers_) {
    for (const EncoderSpec& spec : tier) {
      if (auto runner = try_on_probe(spec)) runners_.push_back(std::move(runner));
      if (runners_.size() == kFinalists) break;
    }
    if (!runners_.empty()) break;
  }
  chosen_ = true;
  probe_ = {};
  trim();
}

void EncoderMatch::drop_failed() {
  std::erase_if(runners_, [](const auto& runner) { return runner->failed(); });
}

// Forgets what every runner has matched. An encoder that holds back more than kMaxLag is none of
// those that make layers.
void EncoderMatch::trim() {
  const std::uint64_t end = original_end();
  std::erase_if(runners_, [end](const auto& runner) { return end - runner->matched() > kMaxLag; });
  if (runners_.empty()) {
    original_ = {};
    return;
  }
  const auto least = (*std::ranges::min_element(runners_, {}, [](const auto& r) {
                       return r->matched();
                     }))->matched();
  const auto drop = static_cast<std::size_t>(least - original_start_);
  if (drop < original_.size() / 2 && drop < kMinProbe) return;
  original_.erase(original_.begin(), original_.begin() + static_cast<std::ptrdiff_t>(drop));
  original_start_ = least;
}

std::optional<EncoderSpec> EncoderMatch::finish() {
  if (chosen_) {
    for (const auto& runner : runners_) {
      if (runner->finish()) return runner->spec();
    }
    return std::nullopt;
  }
  for (const auto& tier : tiers_) {
    for (const EncoderSpec& spec : tier) {
      const auto runner = try_on_probe(spec);
      if (runner != nullptr && runner->finish()) return spec;
    }
  }
  return std::nullopt;
}

}  // namespace bundle::codec
