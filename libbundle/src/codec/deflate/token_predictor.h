#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/deflate_format.h"
#include "codec/deflate/match_length.h"
#include "codec/deflate/token_writer.h"

namespace bundle::codec {

/// How an encoder of the zlib kind looks for matches. The names are zlib's (deflate.c).
struct TokenModel {
  uint8_t min_match = 3;     // 3 or 4 bytes are hashed
  uint16_t good_length = 8;  // a quarter of the chain after a match of this length
  uint16_t max_lazy = 16;    // no search for something better after this length; 0: greedy
  uint16_t nice_length = 128;
  uint16_t max_chain = 128;
  uint16_t max_insert = 258;  // greedy: positions inside longer matches do not enter the chains
  uint16_t too_far = 4096;    // a shortest match is not taken from further
  uint16_t max_distance = 32506;
};

/// Predicts token after token of a stream whose plain bytes are known, each time from what the
/// stream really had before: an error does not lead to more of them (the idea of preflate).
/// Memory: 448 KiB.
class TokenPredictor {
 public:
  explicit TokenPredictor(const TokenModel& model) : model_(model) { clear(); }

  /// Goes on with more plain bytes. All before must have been taken.
  void start(std::span<const uint8_t> plain) {
    const size_t kept = std::min<size_t>(buffer_.size(), kMaxDistance);
    const size_t dropped = buffer_.size() - kept;
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(dropped));
    base_ += static_cast<uint32_t>(dropped);
    if (base_ >= kRebaseAt) clear();
    buffer_.insert(buffer_.end(), plain.begin(), plain.end());
    padded_end_ = buffer_.size();
    buffer_.resize(padded_end_ + kPadding);
  }
  /// Ends what start() began.
  void stop() { buffer_.resize(padded_end_); }

  /// A literal token for "no match", with the byte that follows.
  Token predict() {
    const Match here = lazy_known_ ? lazy_ : search(position_, model_.min_match - 1u);
    lazy_known_ = false;
    if (here.length < model_.min_match) return literal();
    if (model_.max_lazy > here.length && position_ + here.length < end()) {
      const Match next = search(position_ + 1, here.length);
      if (next.length > here.length) {
        lazy_ = next;
        lazy_known_ = true;
        return literal();
      }
    }
    return Token::match(here.length - kMinMatch, here.distance - 1,
                        distance_symbol(here.distance - 1));
  }
  /// What the stream has.
  void take(Token token) {
    const uint32_t length = token.is_match() ? token.length_minus_3() + kMinMatch : 1;
    if (token.is_match()) lazy_known_ = false;
    if (model_.max_lazy == 0 && length > model_.max_insert) {
      insert_before(position_ + 1);
      if (inserted_ == position_ + 1) inserted_ = position_ + length;
    }
    position_ += length;
  }
  void take_stored(uint32_t length) {
    lazy_known_ = false;
    position_ += length;
  }
  /// The next byte of the plain bytes, and how many are left.
  uint8_t byte() const { return at(position_)[0]; }
  uint32_t left() const { return end() - position_; }

 private:
  static constexpr size_t kPadding = 8;
  static constexpr uint32_t kRebaseAt = 1u << 31;
  static constexpr unsigned kHashBits = 15;

  struct Match {
    uint32_t length = 0;
    uint32_t distance = 0;
  };

  /// Positions count from the start of the stream (modulo a rebase).
  void clear() {
    heads_.assign(size_t{1} << kHashBits, 0);
    links_.assign(kMaxDistance, 0);
    const uint32_t moved = base_;
    base_ = 0;
    position_ -= moved;
    inserted_ = position_;
  }
  uint32_t end() const { return base_ + static_cast<uint32_t>(padded_end_); }
  const uint8_t* at(uint32_t position) const { return buffer_.data() + (position - base_); }
  Token literal() const { return Token::literal(byte()); }

  uint32_t hash(uint32_t position) const {
    const uint8_t* const bytes = at(position);
    if (model_.min_match == 3) {  // zlib's with memLevel 8: its collisions count in chains, too
      return (uint32_t{bytes[0]} << 10 ^ uint32_t{bytes[1]} << 5 ^ bytes[2]) & 0x7fff;
    }
    return (load_le32(bytes) * 2654435761u) >> (32 - kHashBits);
  }
  void insert_before(uint32_t position) {
    const uint32_t last = end() < model_.min_match ? 0 : end() - model_.min_match + 1;
    for (; inserted_ < position && inserted_ < last; ++inserted_) {
      uint32_t& head = heads_[hash(inserted_)];
      links_[inserted_ % kMaxDistance] = head;
      head = inserted_ + 1;
    }
  }

  /// The first of the longest matches longer than `best` on the chain.
  Match search(uint32_t position, uint32_t best) {
    insert_before(position);
    const uint32_t longest = std::min(kMaxMatch, end() - position);
    if (longest < model_.min_match || longest <= best) return {};
    const uint8_t* const here = at(position);
    uint32_t chain = best >= model_.good_length ? model_.max_chain / 4u : model_.max_chain;
    const uint32_t nice = std::min<uint32_t>(model_.nice_length, longest);
    Match found;
    uint32_t place = heads_[hash(position)];
    while (place > base_ && chain-- > 0) {
      const uint32_t candidate = place - 1;
      const uint32_t distance = position - candidate;
      if (distance > model_.max_distance) break;
      const uint8_t* const there = at(candidate);
      if (there[best] == here[best]) {
        const uint32_t length = match_length(there, here, longest);
        if (length > best && (length > model_.min_match || distance <= model_.too_far)) {
          best = length;
          found = {length, distance};
          if (length >= nice) break;
        }
      }
      const uint32_t before = links_[candidate % kMaxDistance];
      if (before >= place) break;
      place = before;
    }
    return found;
  }

  const TokenModel model_;
  std::vector<uint8_t> buffer_;  // up to 32 KiB before, then the plain bytes
  size_t padded_end_ = 0;        // without padding
  uint32_t base_ = 0;            // position of the buffer's first byte
  uint32_t position_ = 0;
  uint32_t inserted_ = 0;  // positions before this one are in the chains
  bool lazy_known_ = false;
  Match lazy_;  // at position_, when a literal was predicted for it
  std::vector<uint32_t> heads_;
  std::vector<uint32_t> links_;
};

}  // namespace bundle::codec
