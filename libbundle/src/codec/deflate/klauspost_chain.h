#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/deflate_format.h"
#include "codec/deflate/huffman_code.h"
#include "codec/deflate/klauspost_block_writer.h"
#include "codec/deflate/match_length.h"
#include "codec/deflate/saturated_subtract.h"
#include "codec/deflate/token_writer.h"
#include "codec/deflate/warm_up.h"

/// klauspost/compress/flate levels 7 to 9: lazy matching over hash chains.
namespace bundle::codec::klauspost {

struct ChainSettings {
  uint32_t lazy;   // no search for something better after a match of this length
  uint32_t nice;   // a match of this length ends a search
  uint32_t tries;  // candidates looked at in one search
};

/// What changed between versions.
struct ChainVersion {
  TreeStyle trees;
  uint32_t sampled_bytes;    // level 9 estimates literals from so many bytes of the window
  bool dictionary_in_block;  // the first block's stored size counts the dictionary, too
};

/// The window holds 64 KiB; table entries are window positions plus one (0: none) and move down
/// with it.
class ChainParser {
 public:
  ChainParser(const ChainSettings& settings, const ChainVersion& version, ByteSink sink)
      : settings_(settings),
        version_(version),
        blocks_(std::move(sink), kPenaltyShift, version.trees) {
    std::memset(window_, 0, sizeof window_);
    clear();
  }

  void write(std::span<const uint8_t> plain) {
    while (!plain.empty()) {
      if (end_ == kWindowBytes) parse(false);
      if (position_ >= kMoveAt) move_window();
      const size_t part = std::min<size_t>(plain.size(), kWindowBytes - end_);
      std::memcpy(window_ + end_, plain.data(), part);
      end_ += static_cast<uint32_t>(part);
      plain = plain.subspan(part);
    }
  }
  void flush() {
    const bool silent = warm_up_.reaches(moved_ + end_);
    parse(true);
    if (!silent) blocks_.flush();
  }
  void finish() {
    parse(true);
    blocks_.finish();
  }
  void begin_after(uint64_t plain, unsigned phase) { warm_up_.set(plain, phase); }
  BlockStart last_block() const { return last_block_; }
  void drain() { blocks_.bits().drain(); }
  void reset(std::span<const uint8_t> dictionary) {
    clear();
    dictionary = dictionary.last(std::min<size_t>(dictionary.size(), kHalfWindow));
    std::memcpy(window_, dictionary.data(), dictionary.size());
    end_ = static_cast<uint32_t>(dictionary.size());
    for (uint32_t i = 0; i + kNoMatch < end_; ++i) insert(i);
    position_ = end_;
    if (!version_.dictionary_in_block) block_start_ = end_;
  }

 private:
  static constexpr uint32_t kHalfWindow = kMaxDistance;
  static constexpr uint32_t kWindowBytes = 2 * kHalfWindow;
  static constexpr uint32_t kShortestMatch = 4;
  static constexpr uint32_t kNoMatch = kShortestMatch - 1;
  static constexpr uint32_t kMinLookahead = kShortestMatch + kMaxMatch;
  static constexpr uint32_t kMoveAt = kWindowBytes - kMinLookahead;
  static constexpr uint32_t kLost = UINT32_MAX;
  static constexpr uint32_t kGainFromTries = 100;
  static constexpr uint32_t kSkipped = 2;  // bytes that may differ when the end of a match leads on
  static constexpr size_t kBlockTokens = 32768;
  static constexpr unsigned kHashBits = 17;
  static constexpr unsigned kPenaltyShift = 8;

  struct Match {
    uint32_t length;
    uint32_t distance;
  };

  static uint32_t hash(const uint8_t* at) {
    return (load_le32(at) * 2654435761u) >> (32 - kHashBits);
  }
  bool by_gain() const { return settings_.tries > kGainFromTries; }

  void clear() {
    std::memset(heads_, 0, sizeof heads_);
    std::memset(links_, 0, sizeof links_);
    position_ = end_ = block_start_ = 0;
    byte_pending_ = false;
    current_ = {kNoMatch, 0};
    unmatched_ = 0;
    token_count_ = 0;
    counts_.clear();
  }

  void move_window() {
    std::memmove(window_, window_ + kHalfWindow, kHalfWindow);
    position_ -= kHalfWindow;
    end_ -= kHalfWindow;
    moved_ += kHalfWindow;
    block_start_ =
        block_start_ != kLost && block_start_ >= kHalfWindow ? block_start_ - kHalfWindow : kLost;
    subtract_saturated(heads_, kHalfWindow);
    subtract_saturated(links_, kHalfWindow);
  }

  /// Returns the entry that was there before: the first candidate for a match.
  uint32_t insert(uint32_t position) {
    uint16_t& head = heads_[hash(window_ + position)];
    const uint32_t before = head;
    links_[position % kHalfWindow] = head;
    head = static_cast<uint16_t>(position + 1);
    return before;
  }
  void insert_if_known(uint32_t position) {
    if (position < insert_end_) insert(position);
  }

  void end_full_block() {
    if (warm_up_.is_over()) return write_block();
    drop_learned();
  }
  void drop_learned() {
    block_begin_ = warm_up_.drop(block_begin_, moved_ + position_, tokens_, token_count_, counts_,
                                 blocks_.bits());
    block_start_ = block_begin_ >= moved_ ? static_cast<uint32_t>(block_begin_ - moved_) : kLost;
  }
  void write_block() {
    const uint64_t begun = blocks_.blocks_begun();
    const bool known = block_start_ <= position_;
    const uint32_t start = known ? block_start_ : position_;
    blocks_.write_dynamic({.plain = {window_ + start, position_ - start},
                           .runs = {},
                           .counts = counts_,
                           .token_count = token_count_,
                           .tokens = {tokens_, token_count_},
                           .plain_known = known},
                          flushing_);
    if (blocks_.blocks_begun() != begun) last_block_ = {block_begin_, blocks_.block_bit()};
    counts_.clear();
    token_count_ = 0;
    block_start_ = position_;
    block_begin_ = moved_ + position_;
  }
  void add_literal(uint8_t byte) {
    tokens_[token_count_++] = counts_.count_literal(byte);
    if (token_count_ == kBlockTokens) end_full_block();
  }

  /// The price of the bytes not yet parsed if they all were literals, as running sums.
  void price_literals() {
    std::array<uint32_t, 256> weights{};
    const uint32_t sampled = std::min(end_ - position_, version_.sampled_bytes);
    for (uint32_t i = 0; i < sampled; ++i) ++weights[window_[position_ + i]];
    for (uint32_t& weight : weights) weight &= 0xffff;  // the original counts in 16 bits
    std::array<CodeWord, 256> codes;
    build_huffman_code(weights, 15, codes);
    uint32_t sum = 0;
    for (uint32_t i = position_; i < end_; ++i) {
      literal_sums_[i] = sum;
      sum += codes[window_[i]].length;
    }
    literal_sums_[end_] = sum;
  }
  int32_t gain(uint32_t position, const Match& match) const {
    constexpr uint32_t kBaseCost = 3;
    // The original looks up the distance itself where the tables want it less one.
    const uint32_t symbol = distance_symbol(match.distance & (kMaxDistance - 1));
    const uint32_t extra =
        match.distance == kMaxDistance ? kExtraBitsOfMaxDistance : distance_extra_bits(symbol);
    const uint32_t literals = literal_sums_[position + match.length] - literal_sums_[position];
    return static_cast<int32_t>(literals - extra - kBaseCost -
                                kLengthExtraBits[length_symbol(match.length - kMinMatch)]);
  }
  static constexpr uint32_t kExtraBitsOfMaxDistance = 6;  // its table index wraps

  /// The best match on the chain: the longest, or (level 9) one that is longer and gains more.
  template <bool kByGain>
  Match search(uint32_t candidate, uint32_t lookahead) const {
    const uint32_t longest = std::min(lookahead, kMaxMatch);
    const uint32_t nice = std::min(settings_.nice, longest);
    const uint32_t bound = position_ > kHalfWindow ? position_ - kHalfWindow : 0;
    const uint8_t* const here = window_ + position_;
    Match best = {kNoMatch, 0};
    int32_t best_gain = 4;
    uint32_t tail = load_le32(here);
    const uint8_t* tail_window = window_ - 1;
    for (uint32_t tries = settings_.tries; tries > 0; --tries) {
      if (load_le32(tail_window + candidate) == tail) {
        const uint32_t at = candidate - 1;
        const Match found = {match_length(window_ + at, here, longest), position_ - at};
        if (found.length > best.length) {
          const int32_t found_gain = kByGain ? gain(position_, found) : 0;
          if (!kByGain || found_gain > best_gain) {
            best = found;
            best_gain = found_gain;
            if (best.length >= nice) break;
            tail_window = window_ + best.length - kNoMatch - 1;
            tail = load_le32(here + best.length - kNoMatch);
          }
        }
      }
      if (candidate <= bound + 1) break;  // the link of the oldest position is overwritten
      candidate = links_[(candidate - 1) % kHalfWindow];
      if (candidate <= bound) break;
    }
    return best;
  }

  /// Looks for a longer match through what follows the match before position_; its first bytes may
  /// differ and become literals.
  Match improve_at_end(Match taken, uint32_t lookahead) {
    const uint32_t start = position_ - 1;
    if (taken.length >= kMaxMatch - kSkipped || start + taken.length >= insert_end_) return taken;
    const uint32_t bound = position_ > kHalfWindow ? position_ - kHalfWindow : 0;
    const auto place = static_cast<int32_t>(heads_[hash(window_ + start + taken.length)]) - 1 -
                       static_cast<int32_t>(taken.length);
    if (place <= static_cast<int32_t>(bound + kSkipped)) return taken;
    const auto at = static_cast<uint32_t>(place);
    if (start - at == taken.distance) return taken;
    const uint32_t length = match_length(window_ + start + kSkipped, window_ + at + kSkipped,
                                         std::min(lookahead, kMaxMatch + kSkipped) - kSkipped);
    if (length <= taken.length) return taken;
    taken = {length, start - at};
    for (uint32_t left = kSkipped; left > 0; --left) {
      if (taken.length >= kMaxMatch || window_[start + left - 1] != window_[at + left - 1]) {
        for (uint32_t i = 0; i < left; ++i) {
          add_literal(window_[start + i]);
          insert_if_known(++position_);
        }
        break;
      }
      ++taken.length;
    }
    return taken;
  }

  void take_match(Match match, uint32_t lookahead) {
    match = improve_at_end(match, lookahead);
    tokens_[token_count_++] = counts_.count_match(match.length, match.distance);
    const uint32_t next = position_ + match.length - 1;
    for (uint32_t i = position_ + 1; i < std::min(next, insert_end_); ++i) insert(i);
    position_ = next;
    byte_pending_ = false;
    current_.length = kNoMatch;
    if (token_count_ == kBlockTokens) end_full_block();
    unmatched_ = 0;
  }

  void take_literal() {
    if (current_.length >= kShortestMatch) unmatched_ = 0;
    if (!byte_pending_) {
      ++position_;
      byte_pending_ = true;
      return;
    }
    ++unmatched_;
    add_literal(window_[position_ - 1]);
    ++position_;
    const int32_t over = static_cast<int32_t>(unmatched_) - static_cast<int32_t>(settings_.tries);
    if (over <= 0) return;
    // A long stretch without a match: take more bytes without searching.
    for (int32_t left = 1 + (over >> 6); left > 0 && position_ + 1 < end_; --left) {
      add_literal(window_[position_ - 1]);
      insert_if_known(position_);
      ++position_;
    }
    tokens_[token_count_++] = counts_.count_literal(window_[position_ - 1]);
    byte_pending_ = false;
    if (token_count_ == kBlockTokens) end_full_block();
  }

  void take_rest() {
    if (byte_pending_) tokens_[token_count_++] = counts_.count_literal(window_[position_ - 1]);
    byte_pending_ = false;
    if (!warm_up_.is_over()) drop_learned();
    if (token_count_ != 0) write_block();
  }

  /// Stops when less than a full lookahead is left, or (flushing) at the end of the window.
  void parse(bool flushing) {
    flushing_ = flushing;
    if (end_ - position_ < kMinLookahead && !flushing) return;
    if (by_gain() && end_ != position_) price_literals();
    insert_end_ = end_ < kNoMatch ? 0 : end_ - kNoMatch;
    for (;;) {
      const uint32_t lookahead = end_ - position_;
      if (lookahead < kMinLookahead && !flushing) return;
      if (lookahead == 0) return take_rest();
      const uint32_t candidate = position_ < insert_end_ ? insert(position_) : 0;
      const Match previous = current_;
      current_ = {kNoMatch, 0};
      const uint32_t bound = position_ > kHalfWindow ? position_ - kHalfWindow : 0;
      if (candidate > bound && lookahead > previous.length && previous.length < settings_.lazy) {
        current_ =
            by_gain() ? search<true>(candidate, lookahead) : search<false>(candidate, lookahead);
      }
      if (previous.length >= kShortestMatch && current_.length <= previous.length) {
        take_match(previous, lookahead);
      } else {
        take_literal();
      }
    }
  }

  const ChainSettings settings_;
  const ChainVersion version_;
  BlockWriter blocks_;
  bool flushing_ = false;
  uint32_t position_ = 0;
  uint32_t end_ = 0;
  uint32_t insert_end_ = 0;  // positions from here on lack the bytes that are hashed
  uint32_t block_start_ = 0;
  bool byte_pending_ = false;  // the byte before position_ is not yet in a token
  Match current_ = {kNoMatch, 0};
  uint64_t moved_ = 0;        // bytes before the window
  uint64_t block_begin_ = 0;  // bytes before the block
  BlockStart last_block_;
  WarmUp warm_up_;
  uint16_t unmatched_ = 0;  // literals since the last match; wraps
  size_t token_count_ = 0;
  SymbolCounts counts_;
  uint8_t window_[kWindowBytes + 16];
  uint16_t links_[kHalfWindow];  // by position: the entry before it with the same hash
  uint16_t heads_[size_t{1} << kHashBits];
  Token tokens_[kBlockTokens];
  uint32_t literal_sums_[kWindowBytes + 1];
};

}  // namespace bundle::codec::klauspost
