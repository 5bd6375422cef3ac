#include "codec/encoder_mender.h"

#include <algorithm>
#include <utility>

#include "codec/encoder_match.h"
#include "codec/encoder_runner.h"

namespace bundle::codec {
namespace {

bool is_marker(const DeflateBlock& block) {
  return block.type == BlockType::stored && block.plain.empty() && !block.final_block;
}

}  // namespace

// The encoder has left the original in the block behind failed.good_block().
void EncoderMatch::mend(const EncoderRunner& failed) {
  const BlockStart good = failed.good_block();
  const std::uint64_t history_start = plain_end_ - history_.size();
  const std::uint64_t known_from = good.plain - std::min<std::uint64_t>(good.plain, kMaxDistance);
  if (mend_with_other_flush(failed)) return;
  const bool too_often = parts_.size() > kManyParts && plain_end_ / parts_.size() < kMinMeanPart;
  if (restart_rule(failed.spec()).unit == 0 || known_from < history_start || too_often) return;
  mender_ = std::make_unique<EncoderMender>();
  mender_->spec = failed.spec();
  mender_->start = mender_->next = good;
  mender_->first_bit = good.bit;
  mender_->good_bits = failed.matched_bits();
  mender_->fed = good.bit / 8;
  mender_->reader.begin(
      static_cast<unsigned>(good.bit % 8),
      history_from(known_from).first(static_cast<std::size_t>(good.plain - known_from)));
  go_on_mending();
}

// When a flush was found, little behind it may have been seen, and its kind was not to be told:
// only a match that reaches back behind the flush tells it.
bool EncoderMatch::mend_with_other_flush(const EncoderRunner& failed) {
  using Flush = DeflateEncoder::Flush;
  if (failed.spec().family != kZlibFamily || flushes_.empty()) return false;
  FlushAt& last = flushes_.back();
  const bool in_reach =
      last.plain > part_start_.plain && last.plain + kMaxDistance >= failed.good_block().plain;
  if (!in_reach || last.kind != Flush::sync) return false;
  last.kind = Flush::full;
  auto runner = runner_at(failed.spec(), part_start_, flushes_);
  // One that is not finished holds back what it makes of the end.
  const bool better = runner != nullptr && (runner->matched_bits() > failed.matched_bits() ||
                                            (failed.finished() && !runner->failed()));
  if (better) {
    go_on_with(std::move(runner));
    return true;
  }
  last.kind = Flush::sync;
  return false;
}

// Looks at further blocks of the original. False when it has come to the end of what is there.
bool EncoderMatch::go_on_mending() {
  mender_->reader.feed(original_.from(mender_->fed));
  mender_->fed = original_.end();
  while (mender_ != nullptr) {
    DeflateBlock block;
    const BlockReader::Status status = mender_->reader.next(block);
    if (status == BlockReader::Status::refused ||
        original_.end() - mender_->start.bit / 8 > kMaxLag) {
      mender_.reset();
      return true;
    }
    if (status != BlockReader::Status::block) return false;
    mend_at(block, {mender_->next.plain + block.plain.size(),
                    mender_->first_bit + mender_->reader.bits_read()});
  }
  return true;
}

// The original has `block` next, which ends before `end`.
void EncoderMatch::mend_at(const DeflateBlock& block, const BlockStart& end) {
  EncoderMender& mender = *mender_;
  const BlockStart at = std::exchange(mender.next, end);
  if (mender.broken == 0) {
    if (end.bit > mender.good_bits) {
      mender.broken = 1;
    } else {
      mender.start = end;
    }
    return;
  }
  if (mender.broken++ == 1 && is_marker(block) && mend_with_flush(at, end)) return;
  // The encoder may go on behind the stretch that it does not make.
  auto runner = runner_at(mender.spec, at, flushes_);
  if (runner != nullptr && (!runner->failed() || runner->matched_bits() >= end.bit)) {
    keep_verbatim(at);
    go_on_with(std::move(runner));
  } else if ((end.bit - mender.start.bit) / 8 > kMaxStretch) {
    mender_.reset();
  }
}

// The block before the marker at `at` is what the encoder makes when it is flushed there. Begun at
// that block it may have other choices; begun where the part was it has the same.
bool EncoderMatch::mend_with_flush(const BlockStart& at, const BlockStart& end) {
  using Flush = DeflateEncoder::Flush;
  const EncoderSpec spec = mender_->spec;
  for (const BlockStart& start : {mender_->start, part_start_}) {
    std::unique_ptr<EncoderRunner> best;
    FlushAt best_flush;
    for (const Flush kind : {Flush::sync, Flush::full}) {
      if (kind == Flush::full && spec.family != kZlibFamily) break;
      flushes_.push_back({at.plain, kind});
      auto runner = runner_at(spec, start, flushes_);
      flushes_.pop_back();
      if (runner == nullptr || runner->matched_bits() < end.bit) continue;
      // Both make the same marker: what follows tells them apart.
      if (best != nullptr && runner->matched_bits() <= best->matched_bits()) continue;
      best = std::move(runner);
      best_flush = {at.plain, kind};
    }
    if (best == nullptr) continue;
    if (start.plain != part_start_.plain) end_part(start, false);
    flushes_.push_back(best_flush);
    go_on_with(std::move(best));
    return true;
  }
  return false;
}

// What it was fed may be more than it can make: then the next place is to be mended.
void EncoderMatch::go_on_with(std::unique_ptr<EncoderRunner> runner) {
  next_try_ = part_start_.plain + kPartPlain;
  mender_.reset();
  if (verbatim_.size() > kMaxStretch + original_.end() / kVerbatimShare) return;
  if (runner->failed()) return mend(*runner);
  runners_.push_back(std::move(runner));
}

// From the mender's start to `end` the stream's bits are kept.
void EncoderMatch::keep_verbatim(const BlockStart& end) {
  const BlockStart start = mender_->start;
  end_part(start, false);
  const ByteView original = original_.from(start.bit / 8);
  const auto shift = static_cast<unsigned>(start.bit % 8);
  const std::uint64_t bits = end.bit - start.bit;
  for (std::size_t i = 0; i < (bits + 7) / 8; ++i) {
    const unsigned above = i + 1 < original.size() ? original[i + 1] : 0U;
    verbatim_.push_back(static_cast<std::uint8_t>((original[i] | above << 8) >> shift));
  }
  if (bits % 8 != 0) verbatim_.back() &= static_cast<std::uint8_t>((1U << bits % 8) - 1);
  end_part(end, true);
}

// The stream ended while its blocks were not those of the encoder.
std::optional<EncoderSpec> EncoderMatch::mended_to_the_end() {
  if (mender_->next.bit != original_.end() * 8 || mender_->broken == 0) return std::nullopt;
  keep_verbatim({plain_end_, original_.end() * 8});
  return whole(mender_->spec);
}

}  // namespace bundle::codec
