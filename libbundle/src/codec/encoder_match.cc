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
    const ByteView original = ByteView(match_.original_)
                                  .subspan(static_cast<std::size_t>(matched_ - match_.original_start_));
    if (bytes.size() > original.size() || !std::equal(bytes.begin(), bytes.end(), original.begin())) {
      failed_ = true;
      return;
    }
    matched_ += bytes.size();
  }

  DeflateEncoder& encoder() { return *encoder_; }
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

EncoderMatch::EncoderMatch(const std::vector<EncoderSpec>& candidates) {
  for (const EncoderSpec& spec : candidates) {
    runners_.push_back(std::make_unique<Runner>(*this, spec));
  }
}
EncoderMatch::~EncoderMatch() = default;

void EncoderMatch::deflate(ByteView compressed) {
  if (hopeless()) return;
  original_.insert(original_.end(), compressed.begin(), compressed.end());
}

void EncoderMatch::plain(ByteView bytes) {
  for (const auto& runner : runners_) runner->encoder().write(bytes);
  plain_seen_ += bytes.size();
  drop_failed();
  if (plain_seen_ > kProbe && runners_.size() > kFinalists) runners_.resize(kFinalists);
  trim();
}

void EncoderMatch::drop_failed() {
  std::erase_if(runners_, [](const auto& runner) { return runner->failed(); });
}

// Forgets what every runner has matched. An encoder that holds back more than kMaxLag is none of
// those that make layers.
void EncoderMatch::trim() {
  const std::uint64_t end = original_start_ + original_.size();
  std::erase_if(runners_, [end](const auto& runner) { return end - runner->matched() > kMaxLag; });
  if (runners_.empty()) {
    original_ = {};
    return;
  }
  const auto least = (*std::ranges::min_element(runners_, {}, [](const auto& r) { return r->matched(); }))
                         ->matched();
  const auto drop = static_cast<std::size_t>(least - original_start_);
  if (drop < original_.size() / 2 && drop < kProbe) return;
  original_.erase(original_.begin(), original_.begin() + static_cast<std::ptrdiff_t>(drop));
  original_start_ = least;
}

std::optional<EncoderSpec> EncoderMatch::finish() {
  const std::uint64_t end = original_start_ + original_.size();
  for (const auto& runner : runners_) {
    runner->encoder().finish();
    if (!runner->failed() && runner->matched() == end) return runner->spec();
  }
  return std::nullopt;
}

}  // namespace bundle::codec
