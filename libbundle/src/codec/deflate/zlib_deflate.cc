#include "codec/deflate/zlib_deflate.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "codec/deflate/deflate_format.h"
#include "codec/deflate/match_length.h"
#include "codec/deflate/saturated_subtract.h"
#include "codec/deflate/zlib_block_writer.h"

namespace bundle::codec {
namespace {

/// zlib's table of levels (deflate.c), its names.
struct Level {
  bool greedy;
  uint16_t good_length;  // a quarter of the chain after a match of this length
  uint16_t max_lazy;     // lazy: no search after this length; greedy: longer ones are not inserted
  uint16_t nice_length;  // a match of this length ends a search
  uint16_t max_chain;    // candidates looked at in one search
};
constexpr std::array<Level, 9> kLevels = {{
    {true, 4, 4, 8, 4},
    {true, 4, 5, 16, 8},
    {true, 4, 6, 32, 32},
    {false, 4, 4, 16, 16},
    {false, 8, 16, 32, 32},
    {false, 8, 16, 128, 128},
    {false, 8, 32, 128, 256},
    {false, 32, 128, 258, 1024},
    {false, 32, 258, 258, 4096},
}};

constexpr int kFiltered = 1;
constexpr int kHuffmanOnly = 2;
constexpr int kRunLength = 3;
constexpr int kFixed = 4;

constexpr uint32_t kHalfWindow = kMaxDistance;
constexpr uint32_t kWindowBytes = 2 * kHalfWindow;
constexpr uint32_t kMinLookahead = kMaxMatch + kMinMatch + 1;
constexpr uint32_t kReach = kHalfWindow - kMinLookahead;
constexpr uint32_t kMoveAt = kHalfWindow + kReach;
constexpr uint32_t kTooFar = 4096;  // a match of 3 bytes is not taken from further
constexpr uint32_t kNoMatch = kMinMatch - 1;

enum class Method : uint8_t { greedy, lazy, run_length, literals };

Method method_of(const Level& level, int strategy) {
  if (strategy == kHuffmanOnly) return Method::literals;
  if (strategy == kRunLength) return Method::run_length;
  return level.greedy ? Method::greedy : Method::lazy;
}

}  // namespace

/// Table entries are window positions; 0 is none, so that position 0 is never a match. They move
/// down with the window.
class ZlibDeflate::Encoder {
 public:
  Encoder(int level, ByteSink sink, int mem_level, int strategy)
      : level_(kLevels[static_cast<size_t>(level - 1)]),
        method_(method_of(level_, strategy)),
        filtered_(strategy == kFiltered),
        hash_shift_((static_cast<unsigned>(mem_level) + 9) / 3),
        hash_mask_((1u << (mem_level + 7)) - 1),
        steps_(level_.max_chain < kLongChain ? 1 : kSteps),
        block_tokens_((size_t{1} << (mem_level + 6)) - 1),
        links_(kHalfWindow * steps_ + kSteps),
        heads_(size_t{hash_mask_} + 1),
        tokens_(block_tokens_ + 1),
        blocks_(std::move(sink), strategy == kFixed) {
    std::memset(window_, 0, sizeof window_);
  }

  void write(std::span<const uint8_t> plain) {
    while (!plain.empty()) {
      const size_t part = std::min<size_t>(plain.size(), kWindowBytes - end_);
      std::memcpy(window_ + end_, plain.data(), part);
      end_ += static_cast<uint32_t>(part);
      plain = plain.subspan(part);
      insert_missed();
      parse(false);
    }
  }
  void flush(Flush kind) {
    const bool silent = warm_up_.reaches(moved_ + end_);
    parse(true);
    if (!warm_up_.is_over()) drop_learned(position_);
    if (token_count_ != 0) write_block(position_, false);
    if (silent) {
      if (kind == Flush::full) forget();
      return;
    }
    if (kind == Flush::partial) blocks_.write_empty_fixed();
    if (kind == Flush::sync || kind == Flush::full) blocks_.write_stored({}, false);
    if (kind == Flush::full) forget();
    blocks_.bits().drain();
  }
  void finish() {
    parse(true);
    if (!warm_up_.is_over()) drop_learned(position_);
    write_block(position_, true);
    blocks_.bits().align();
    blocks_.bits().drain();
  }
  void reset(std::span<const uint8_t> dictionary) {
    forget();
    current_ = {kNoMatch, 0};
    literal_pending_ = false;
    dictionary = dictionary.last(std::min<size_t>(dictionary.size(), kHalfWindow));
    std::copy(dictionary.begin(), dictionary.end(), window_);
    end_ = static_cast<uint32_t>(dictionary.size());
    for (; position_ + kMinMatch <= end_; ++position_) insert(position_);
    missed_ = end_ - position_;
    position_ = block_start_ = end_;
  }
  void begin_after(uint64_t plain, unsigned phase) { warm_up_.set(plain, phase); }
  BlockStart last_block() const { return last_block_; }
  ZlibBlockWriter& blocks() { return blocks_; }

 private:
  static constexpr size_t kSteps = 4;
  static constexpr uint32_t kLongChain = 32;
  static constexpr int32_t kLost = INT32_MIN;  // the block's start left the window

  struct Match {
    uint32_t length;
    uint32_t distance;
  };

  /// zlib's rolling hash; what it knew of older bytes has been shifted out.
  uint32_t hash(uint32_t position) const {
    const uint8_t* const at = window_ + position;
    return (uint32_t{at[0]} << 2 * hash_shift_ ^ uint32_t{at[1]} << hash_shift_ ^ at[2]) &
           hash_mask_;
  }
  /// The next candidates behind one: one, or kSteps, the nearest in the lowest bits. The first that
  /// is out of reach ends the chain: what is behind is old. A search reads them at once, and need
  /// not wait for the cache at each.
  uint64_t links_of(uint32_t candidate) const {
    uint64_t links;
    std::memcpy(&links, links_.data() + candidate % kHalfWindow * steps_, sizeof links);
    return links;
  }
  /// Returns the entry that was there before: the first candidate for a match.
  uint32_t insert(uint32_t position) {
    uint16_t& head = heads_[hash(position)];
    const uint32_t before = head;
    uint16_t* const links = links_.data() + position % kHalfWindow * steps_;
    if (steps_ == 1) {
      *links = head;
    } else {
      const uint64_t chain = links_of(before) << 16 | before;
      std::memcpy(links, &chain, sizeof chain);
    }
    head = static_cast<uint16_t>(position);
    return before;
  }
  /// The last positions before a flush, which lacked bytes to be hashed.
  void insert_missed() {
    while (missed_ > 0 && end_ - position_ + missed_ >= kMinMatch) insert(position_ - missed_--);
  }
  /// A window without past.
  void forget() {
    std::ranges::fill(heads_, uint16_t{0});
    moved_ += position_;
    position_ = end_ = missed_ = 0;
    block_start_ = 0;
  }
  void move_window() {
    std::memmove(window_, window_ + kHalfWindow, kHalfWindow);
    position_ -= kHalfWindow;
    end_ -= kHalfWindow;
    moved_ += kHalfWindow;
    constexpr auto kHalf = static_cast<int32_t>(kHalfWindow);
    block_start_ = block_start_ >= kHalf ? block_start_ - kHalf : kLost;
    subtract_saturated(heads_, kHalfWindow);
    subtract_saturated(std::span(links_).first(kHalfWindow * steps_), kHalfWindow);
  }

  void end_full_block(uint32_t end) {
    if (warm_up_.is_over()) return write_block(end, false);
    drop_learned(end);
  }
  void drop_learned(uint32_t end) {
    block_begin_ =
        warm_up_.drop(block_begin_, moved_ + end, tokens_, token_count_, counts_, blocks_.bits());
    block_start_ = block_begin_ >= moved_ ? static_cast<int32_t>(block_begin_ - moved_) : kLost;
  }
  void write_block(uint32_t end, bool last) {
    last_block_ = {block_begin_, blocks_.bits().position()};
    std::optional<std::span<const uint8_t>> plain;
    if (block_start_ != kLost) {
      const auto start = static_cast<uint32_t>(block_start_);
      plain.emplace(window_ + start, end - start);
    }
    blocks_.write(std::span(tokens_).first(token_count_), counts_, plain, last);
    counts_.clear();
    token_count_ = 0;
    block_start_ = static_cast<int32_t>(end);
    block_begin_ = moved_ + end;
  }
  void add(Token token) { tokens_[token_count_++] = token; }
  bool is_full() const { return token_count_ == block_tokens_; }

  void parse(bool flushing) {
    switch (method_) {
      case Method::greedy:
        return parse_greedily(flushing);
      case Method::lazy:
        return parse_lazily(flushing);
      case Method::run_length:
        return parse_runs(flushing);
      case Method::literals:
        return parse_literals(flushing);
    }
  }
  /// Whether a search may go on with fewer than `wanted` bytes ahead.
  bool goes_on(bool flushing) {
    if (position_ >= kMoveAt) move_window();
    return flushing && position_ != end_;
  }

  /// The first of the longest matches on the chain, as zlib looks for it, if longer than `best`.
  template <size_t steps>
  Match search_chain(uint32_t position, uint32_t candidate, uint32_t best,
                     uint32_t lookahead) const {
    const uint32_t longest = std::min(lookahead, kMaxMatch);
    const uint32_t nice = std::min<uint32_t>(level_.nice_length, lookahead);
    const uint32_t bound = position > kReach ? position - kReach : 0;
    const uint8_t* const here = window_ + position;
    uint32_t tries = best >= level_.good_length ? level_.max_chain >> 2 : level_.max_chain;
    uint32_t distance = 0;
    if (best < kMinMatch) {  // three bytes have to agree
      constexpr uint32_t kThree = 0xffffff;
      const uint32_t first = load_le32(here) & kThree;
      while ((load_le32(window_ + candidate) & kThree) != first) {
        candidate = links_of(candidate) & 0xffff;
        if (candidate <= bound || --tries == 0) return {best, 0};
      }
      best = match_length(window_ + candidate, here, longest);
      distance = position - candidate;
      if (best >= nice) return {best, distance};
    } else if (load_le32(window_ + candidate + best - kMinMatch) ==
               load_le32(here + best - kMinMatch)) {
      const uint32_t length = match_length(window_ + candidate, here, longest);
      if (length > best) {
        best = length;
        distance = position - candidate;
        if (length >= nice) return {best, distance};
      }
    }
    // Something longer than `best` agrees in the four bytes that end there, too.
    const uint8_t* tail_window = window_ + best - kMinMatch;
    uint32_t tail = load_le32(here + best - kMinMatch);
    for (;;) {
      uint64_t links = links_of(candidate);
      for (size_t i = 0; i < steps; ++i, links >>= 16) {
        candidate = links & 0xffff;
        if (candidate <= bound || --tries == 0) return {best, distance};
        if (load_le32(tail_window + candidate) != tail) continue;
        const uint32_t length = match_length(window_ + candidate, here, longest);
        if (length <= best) continue;
        best = length;
        distance = position - candidate;
        if (length >= nice) return {best, distance};
        tail_window = window_ + best - kMinMatch;
        tail = load_le32(here + best - kMinMatch);
      }
    }
  }

  Match search(uint32_t position, uint32_t candidate, uint32_t best, uint32_t lookahead) const {
    return steps_ == 1 ? search_chain<1>(position, candidate, best, lookahead)
                       : search_chain<kSteps>(position, candidate, best, lookahead);
  }

  void parse_lazily(bool flushing) {
    for (;;) {
      uint32_t lookahead = end_ - position_;
      if (lookahead < kMinLookahead && !goes_on(flushing)) break;
      const uint32_t position = position_;
      const uint32_t candidate = lookahead >= kMinMatch ? insert(position) : 0;
      const Match previous = current_;
      current_ = {kNoMatch, 0};
      if (candidate != 0 && previous.length < level_.max_lazy && position - candidate <= kReach) {
        current_ = search(position, candidate, previous.length, lookahead);
        current_.length = std::min(current_.length, lookahead);
        if (current_.length <= 5 &&
            (filtered_ || (current_.length == kMinMatch && current_.distance > kTooFar))) {
          current_.length = kNoMatch;
        }
      }
      if (previous.length >= kMinMatch && current_.length <= previous.length) {
        add(counts_.count_match(previous.length, previous.distance));
        const uint32_t next = position + previous.length - 1;
        const uint32_t insert_end = std::min(next, end_ - kNoMatch);
        for (uint32_t i = position + 1; i < insert_end; ++i) insert(i);
        literal_pending_ = false;
        current_ = {kNoMatch, 0};
        position_ = next;
        if (is_full()) end_full_block(position_);
      } else {
        if (literal_pending_) {
          add(counts_.count_literal(window_[position - 1]));
          if (is_full()) end_full_block(position);
        }
        literal_pending_ = true;
        position_ = position + 1;
      }
    }
    if (!flushing) return;
    if (literal_pending_) add(counts_.count_literal(window_[position_ - 1]));
    literal_pending_ = false;
    missed_ = std::min(position_, kNoMatch);
  }

  void parse_greedily(bool flushing) {
    for (;;) {
      const uint32_t lookahead = end_ - position_;
      if (lookahead < kMinLookahead && !goes_on(flushing)) break;
      const uint32_t position = position_;
      const uint32_t candidate = lookahead >= kMinMatch ? insert(position) : 0;
      Match found = {kNoMatch, 0};
      if (candidate != 0 && position - candidate <= kReach)
        found = search(position, candidate, kNoMatch, lookahead);
      if (found.length >= kMinMatch) {
        add(counts_.count_match(found.length, found.distance));
        position_ += found.length;
        if (found.length <= level_.max_lazy && lookahead - found.length >= kMinMatch) {
          for (uint32_t i = position + 1; i < position_; ++i) insert(i);
        }
      } else {
        add(counts_.count_literal(window_[position]));
        ++position_;
      }
      if (is_full()) end_full_block(position_);
    }
    if (flushing) missed_ = std::min(position_, kNoMatch);
  }

  /// Matches of distance 1 only.
  void parse_runs(bool flushing) {
    for (;;) {
      const uint32_t lookahead = end_ - position_;
      if (lookahead <= kMaxMatch && !goes_on(flushing)) break;
      const uint8_t* const here = window_ + position_;
      uint32_t length = 0;
      if (lookahead >= kMinMatch && position_ > 0)
        length = match_length(here, here - 1, std::min(lookahead, kMaxMatch));
      if (length >= kMinMatch) {
        add(counts_.count_match(length, 1));
        position_ += length;
      } else {
        add(counts_.count_literal(*here));
        ++position_;
      }
      if (is_full()) end_full_block(position_);
    }
  }

  void parse_literals(bool flushing) {
    for (;;) {
      if (position_ == end_ && !goes_on(flushing)) break;
      add(counts_.count_literal(window_[position_++]));
      if (is_full()) end_full_block(position_);
    }
  }

  const Level level_;
  const Method method_;
  const bool filtered_;
  const unsigned hash_shift_;
  const uint32_t hash_mask_;
  const size_t steps_;
  const size_t block_tokens_;
  uint32_t position_ = 0;
  uint32_t end_ = 0;
  uint32_t missed_ = 0;  // positions before position_ that are not yet in the tables
  int32_t block_start_ = 0;
  bool literal_pending_ = false;  // lazy: the byte before position_ is not yet in a token
  Match current_ = {kNoMatch, 0};
  uint64_t moved_ = 0;        // bytes before the window
  uint64_t block_begin_ = 0;  // bytes before the block
  BlockStart last_block_;
  WarmUp warm_up_;
  size_t token_count_ = 0;
  SymbolCounts counts_;
  uint8_t window_[kWindowBytes + 16];
  // By position: the entries before it with the same hash, steps_ of them.
  std::vector<uint16_t> links_;
  std::vector<uint16_t> heads_;
  std::vector<Token> tokens_;
  ZlibBlockWriter blocks_;
};

ZlibDeflate::ZlibDeflate(int level, ByteSink sink, int mem_level, int strategy) {
  assert(level >= 1 && level <= 9 && mem_level >= 1 && mem_level <= 9);
  encoder_ = std::make_unique<Encoder>(level, std::move(sink), mem_level, strategy);
}
ZlibDeflate::~ZlibDeflate() = default;
ZlibDeflate::ZlibDeflate(ZlibDeflate&&) noexcept = default;
ZlibDeflate& ZlibDeflate::operator=(ZlibDeflate&&) noexcept = default;

void ZlibDeflate::write(std::span<const uint8_t> plain) {
  encoder_->write(plain);
}
void ZlibDeflate::flush(Flush kind) {
  encoder_->flush(kind);
}
void ZlibDeflate::finish() {
  encoder_->finish();
}
void ZlibDeflate::reset(std::span<const uint8_t> dictionary) {
  encoder_->reset(dictionary);
}
void ZlibDeflate::begin_after(uint64_t plain, unsigned phase) {
  encoder_->begin_after(plain, phase);
}
BlockStart ZlibDeflate::last_block() const {
  return encoder_->last_block();
}
void ZlibDeflate::drain() {
  encoder_->blocks().bits().drain();
}
unsigned ZlibDeflate::pending_bits() const {
  return encoder_->blocks().bits().pending_bits();
}
void ZlibDeflate::add_empty_block() {
  encoder_->blocks().write_empty_fixed();
}

}  // namespace bundle::codec
