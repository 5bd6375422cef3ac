#include "codec/encoder_match.h"

#include <algorithm>
#include <utility>

#include "codec/encoder_mender.h"
#include "codec/encoder_runner.h"

namespace bundle::codec {
namespace {

bool is_too_long(const StreamPart& part) {
  return part.plain > kMaxPartPlain;
}

// Of two that left the original, the one that came further, or that can begin at more places.
bool is_better(const EncoderRunner& left, const EncoderRunner& right) {
  if (left.matched() != right.matched()) return left.matched() > right.matched();
  return restart_rule(left.spec()).block < restart_rule(right.spec()).block;
}

}  // namespace

EncoderMatch::EncoderMatch(CandidateTiers tiers) : tiers_(std::move(tiers)) {}
EncoderMatch::~EncoderMatch() = default;

void EncoderMatch::deflate(ByteView compressed) {
  if (hopeless()) return;
  original_.bytes.insert(original_.bytes.end(), compressed.begin(), compressed.end());
}

void EncoderMatch::plain(ByteView bytes) {
  if (hopeless()) return;
  if (!chosen_) {
    plain_end_ += bytes.size();
    history_.insert(history_.end(), bytes.begin(), bytes.end());
    if (probe_is_long_enough()) choose_finalists();
    return;
  }
  constexpr std::size_t kStep = 64 << 10;  // so often a block's start is looked for
  for (; !bytes.empty() && !hopeless(); bytes = bytes.subspan(std::min(kStep, bytes.size())))
    follow(bytes.first(std::min(kStep, bytes.size())));
}

bool EncoderMatch::probe_is_long_enough() const {
  if (history_.size() >= kMaxProbe) return true;
  return history_.size() >= kMinProbe && original_.bytes.size() >= kProbeCompressed;
}

void EncoderMatch::choose_finalists() {
  std::unique_ptr<EncoderRunner> best;  // of those that fail
  for (const auto& tier : tiers_) {
    for (const EncoderSpec& spec : tier) {
      auto runner = std::make_unique<EncoderRunner>(original_, spec);
      if (runner->feed(history_)) {
        runners_.push_back(std::move(runner));
      } else if (best == nullptr || is_better(*runner, *best)) {
        best = std::move(runner);
      }
      if (runners_.size() == kFinalists) break;
    }
    if (!runners_.empty()) break;
  }
  chosen_ = true;
  if (runners_.empty() && best != nullptr && best->matched() >= kMinMatched) mend(*best);
  trim();
}

void EncoderMatch::follow(ByteView plain) {
  plain_end_ += plain.size();
  if (history_.size() + plain.size() > 2 * kHistory && history_.size() > kHistory)
    history_.erase(history_.begin(), history_.end() - static_cast<std::ptrdiff_t>(kHistory));
  history_.insert(history_.end(), plain.begin(), plain.end());
  if (mender_ != nullptr) {
    go_on_mending();
  } else {
    for (const auto& runner : runners_) runner->feed(plain);
    drop_failed();
    if (restart_ != nullptr) prove_restart(plain);
  }
  if (restart_ == nullptr && !runners_.empty()) try_restart();
  trim();
}

ByteView EncoderMatch::history_from(std::uint64_t plain) const {
  const std::uint64_t start = plain_end_ - history_.size();
  return ByteView(history_).subspan(static_cast<std::size_t>(plain - start));
}

// An encoder that begins at a block's start; null when what it has to learn from is gone.
std::unique_ptr<EncoderRunner> EncoderMatch::runner_at(const EncoderSpec& spec,
                                                       const BlockStart& at,
                                                       const std::vector<FlushAt>& flushes) const {
  const RestartRule rule = restart_rule(spec);
  if (rule.unit == 0 || at.bit / 8 < original_.start) return nullptr;
  const std::uint64_t from = learning_start(rule, flushes, at.plain);
  if (from < plain_end_ - history_.size() || !can_start(rule, flushes, at.plain)) return nullptr;
  auto runner = std::make_unique<EncoderRunner>(original_, spec, at, from, flushes);
  runner->feed(history_from(from));
  return runner;
}

// Begins a second encoder at the last block's start, if it is time for a new part.
void EncoderMatch::try_restart() {
  const EncoderRunner& first = *runners_.front();
  const BlockStart at = first.good_block();
  if (at.plain < next_try_) return;
  restart_at_ = at;
  restart_ = runner_at(first.spec(), at, flushes_);
  if (restart_ != nullptr) prove_restart({});
}

void EncoderMatch::prove_restart(ByteView plain) {
  if (!restart_->feed(plain)) {
    restart_.reset();
    next_try_ = restart_at_.plain + kRetryPlain;
    return;
  }
  if (plain_end_ < restart_at_.plain + kProofPlain) return;
  end_part(restart_at_, false);
  runners_.front() = std::move(restart_);
  next_try_ = restart_at_.plain + kPartPlain;
}

void EncoderMatch::end_part(const BlockStart& end, bool verbatim) {
  if (end.plain == part_start_.plain && end.bit == part_start_.bit) return;
  StreamPart part{end.plain - part_start_.plain, end.bit - part_start_.bit, verbatim, {}};
  for (const FlushAt& flush : flushes_) {
    // A flush at the start of a part belongs to the one before.
    if (!verbatim && flush.plain > part_start_.plain && flush.plain <= end.plain)
      part.flushes.push_back({flush.plain - part_start_.plain, flush.kind});
  }
  parts_.push_back(std::move(part));
  part_start_ = end;
}

void EncoderMatch::drop_failed() {
  if (runners_.empty() || !runners_.front()->failed()) {
    std::erase_if(runners_, [](const auto& runner) { return runner->failed(); });
    return;
  }
  const auto first = std::move(runners_.front());
  restart_.reset();
  std::erase_if(runners_, [](const auto& runner) { return !runner || runner->failed(); });
  if (runners_.empty()) {
    mend(*first);
  } else {
    forget_parts();  // the next one has made the stream from its start
  }
}

void EncoderMatch::forget_parts() {
  restart_.reset();
  parts_.clear();
  flushes_.clear();
  verbatim_.clear();
  part_start_ = {};
  next_try_ = kPartPlain;
}

// Forgets what every runner has matched. An encoder that holds back more than kMaxLag is none of
// those that make layers.
void EncoderMatch::trim() {
  const std::uint64_t end = original_.end();
  const auto lags = [end](const auto& runner) { return end - runner->matched() > kMaxLag; };
  if (!runners_.empty() && lags(runners_.front())) forget_parts();
  std::erase_if(runners_, lags);
  if (hopeless()) {
    original_ = {};
    return;
  }
  std::uint64_t least = end;
  for (const auto& runner : runners_) least = std::min(least, runner->matched());
  // A part may begin there, or the one under way has to be made again:
  if (plain_end_ - part_start_.plain <= kHistory) least = std::min(least, part_start_.bit / 8);
  if (!runners_.empty()) least = std::min(least, runners_.front()->good_block().bit / 8);
  if (restart_ != nullptr) least = std::min(least, restart_->matched());
  if (mender_ != nullptr) least = std::min(least, mender_->start.bit / 8);
  const auto drop = static_cast<std::size_t>(least - original_.start);
  if (drop < original_.bytes.size() / 2 && drop < kMinProbe) return;
  original_.bytes.erase(original_.bytes.begin(),
                        original_.bytes.begin() + static_cast<std::ptrdiff_t>(drop));
  original_.start = least;
}

std::optional<EncoderSpec> EncoderMatch::finish() {
  if (!chosen_) {
    for (const auto& tier : tiers_) {
      for (const EncoderSpec& spec : tier) {
        EncoderRunner runner(original_, spec);
        if (runner.feed(history_) && runner.finish()) return spec;
      }
    }
    return std::nullopt;
  }
  restart_.reset();
  while (!hopeless()) {
    if (!runners_.empty()) {
      const EncoderSpec spec = runners_.front()->spec();
      if (runners_.front()->finish()) return whole(spec);
      drop_failed();
    } else if (!go_on_mending()) {
      return mended_to_the_end();
    }
  }
  return std::nullopt;
}

// The last part ends where the stream does.
std::optional<EncoderSpec> EncoderMatch::whole(const EncoderSpec& spec) {
  if (!parts_.empty() || !flushes_.empty()) end_part({plain_end_, original_.end() * 8}, false);
  const bool representable =
      std::ranges::none_of(parts_, is_too_long) && parts_.size() <= kMaxStreamParts &&
      flushes_.size() <= kMaxStreamFlushes && verbatim_.size() <= kMaxVerbatimBytes;
  if (!representable) {
    if (!flushes_.empty() || !verbatim_.empty()) return std::nullopt;
    parts_.clear();
  }
  return spec;
}

}  // namespace bundle::codec
