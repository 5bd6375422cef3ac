#include "codec/deflate/go_deflate.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

#include "codec/deflate/deflate_format.h"
#include "codec/deflate/dynamic_header.h"
#include "codec/deflate/huffman_code.h"
#include "codec/deflate/match_length.h"
#include "codec/deflate/saturated_subtract.h"
#include "codec/deflate/token_writer.h"

namespace bundle::codec {

class GoDeflate::Encoder {
 public:
  virtual ~Encoder() = default;
  virtual void write(std::span<const uint8_t> plain) = 0;
  virtual void end_write() {}
  virtual void flush() = 0;
  virtual void finish() = 0;
  virtual void begin_after(uint64_t plain, unsigned phase) = 0;
  virtual void drain() = 0;
  BlockStart last_block() const { return last_block_; }

 protected:
  BlockStart last_block_;
};

namespace {

constexpr uint32_t kHashMultiplier = 0x1e35a7bd;
constexpr unsigned kMaxCodeLength = 15;

/// How the original chooses among stored, fixed and dynamic blocks, and writes them.
class BlockWriter {
 public:
  explicit BlockWriter(ByteSink sink) : bits_(std::move(sink)) {}

  /// The smallest of the three kinds. Without `plain` (it left the window) stored is out.
  void write_smallest(std::span<const Token> tokens, SymbolCounts& counts,
                      std::optional<std::span<const uint8_t>> plain) {
    plan_dynamic(counts);
    uint64_t size = coded_bits(counts.literals, fixed_literal_code()) +
                    coded_bits(counts.distances, fixed_distance_code()) + 3;
    const uint64_t dynamic_size = dynamic_bits(counts);
    const bool dynamic = dynamic_size < size;
    if (dynamic) size = dynamic_size;
    if (plain && plain->size() <= kMaxStoredBytes &&
        stored_bits(*plain) < size + extra_bits(counts)) {
      write_stored(*plain);
      return;
    }
    if (dynamic) {
      header_.write(bits_, false);
      body_.use(literal_codes_, distance_codes_);
    } else {
      bits_.put(0b010, 3);
      body_.use(fixed_literal_code(), fixed_distance_code());
    }
    body_.write(bits_, tokens);
    body_.write_end_of_block(bits_);
  }

  /// Dynamic, or stored when that loses less than 1/16.
  void write_dynamic(std::span<const TokenRun> runs, SymbolCounts& counts,
                     std::span<const uint8_t> plain) {
    plan_dynamic(counts);
    if (better_stored(plain, dynamic_bits(counts))) {
      write_stored(plain);
      return;
    }
    header_.write(bits_, false);
    body_.use(literal_codes_, distance_codes_);
    body_.write(bits_, runs, plain);
    body_.write_end_of_block(bits_);
  }

  /// Literals only, or stored when that loses less than 1/16.
  void write_literals(std::span<const uint8_t> plain) {
    std::array<std::array<uint32_t, 256>, 4> parts{};
    size_t i = 0;
    for (; i + 4 <= plain.size(); i += 4) {
      ++parts[0][plain[i]];
      ++parts[1][plain[i + 1]];
      ++parts[2][plain[i + 2]];
      ++parts[3][plain[i + 3]];
    }
    for (; i < plain.size(); ++i) ++parts[0][plain[i]];
    std::array<uint32_t, kEndOfBlock + 1> weights;
    for (size_t byte = 0; byte < 256; ++byte) {
      weights[byte] = parts[0][byte] + parts[1][byte] + parts[2][byte] + parts[3][byte];
    }
    weights[kEndOfBlock] = 1;
    const std::span<CodeWord> codes = std::span(literal_codes_).first(weights.size());
    build_huffman_code(weights, kMaxCodeLength, codes);
    constexpr std::array<CodeWord, 1> kUnusedDistance = {CodeWord{0, 1}};
    header_.plan(codes, kUnusedDistance);
    if (better_stored(plain, header_.bits() + coded_bits(weights, codes) + 1)) {
      write_stored(plain);
      return;
    }
    header_.write(bits_, false);
    body_.use_literals(codes);
    body_.write_literals(bits_, plain);
    body_.write_end_of_block(bits_);
  }

  void write_stored(std::span<const uint8_t> plain, bool final_block = false) {
    bits_.put(final_block, 3);
    bits_.align();
    bits_.put(plain.size() | (~plain.size() & 0xffff) << 16, 32);
    bits_.put_bytes(plain);
  }

  void flush() {
    write_stored({});
    bits_.drain();
  }
  void finish() {
    write_stored({}, true);
    bits_.drain();
  }
  BitWriter& bits() { return bits_; }

 private:
  static uint64_t stored_bits(std::span<const uint8_t> plain) { return (plain.size() + 5) * 8; }
  static bool better_stored(std::span<const uint8_t> plain, uint64_t coded) {
    return plain.size() <= kMaxStoredBytes && stored_bits(plain) < coded + (coded >> 4);
  }

  /// Completes the counts and makes codes and header for them.
  void plan_dynamic(SymbolCounts& counts) {
    counts.literals[kEndOfBlock] = 1;
    size_t literal_count = kLiteralSymbols;
    while (counts.literals[literal_count - 1] == 0) --literal_count;
    size_t distance_count = kDistanceSymbols;
    while (distance_count > 0 && counts.distances[distance_count - 1] == 0) --distance_count;
    if (distance_count == 0) {
      counts.distances[0] = 1;  // one distance code is written (and weighed) even if none is used
      distance_count = 1;
    }
    build_huffman_code(counts.literals, kMaxCodeLength, literal_codes_);
    build_huffman_code(counts.distances, kMaxCodeLength, distance_codes_);
    header_.plan(std::span(literal_codes_).first(literal_count),
                 std::span(distance_codes_).first(distance_count));
  }
  uint64_t dynamic_bits(const SymbolCounts& counts) const {
    return header_.bits() + coded_bits(counts.literals, literal_codes_) +
           coded_bits(counts.distances, distance_codes_);
  }
  static uint64_t extra_bits(const SymbolCounts& counts) {
    uint64_t bits = 0;
    for (size_t i = 0; i < kLengthSymbols; ++i) {
      bits += uint64_t{counts.literals[kFirstLengthSymbol + i]} * kLengthExtraBits[i];
    }
    for (size_t i = 0; i < kDistanceSymbols; ++i) {
      bits += uint64_t{counts.distances[i]} * distance_extra_bits(i);
    }
    return bits;
  }

  BitWriter bits_;
  DynamicHeader header_;
  TokenWriter body_;
  std::array<CodeWord, kLiteralSymbols> literal_codes_;
  std::array<CodeWord, kDistanceSymbols> distance_codes_;
};

// --- Levels 2..9: hash chains -------------------------------------------------------------------

struct ChainLevel {
  uint32_t lazy;          // no search for something better after a match of this length; 0: greedy
  uint32_t nice;          // a match of this length ends a search
  uint32_t tries;         // candidates looked at in one search
  uint32_t insert_limit;  // greedy: positions inside longer matches do not enter the table
};

constexpr std::array<ChainLevel, 8> kChainLevels = {{
    {0, 16, 8, 5},
    {0, 32, 32, 6},
    {4, 16, 16, 0},
    {16, 32, 32, 0},
    {16, 128, 128, 0},
    {32, 128, 256, 0},
    {128, 258, 1024, 0},
    {258, 258, 4096, 0},
}};

/// The window holds 64 KiB; once parsing comes near its end, its upper half moves down. Table
/// entries are window positions plus one (0: none), kept in 16 bits so that the tables stay in
/// the level 2 cache, and moved down with the window.
class ChainEncoder final : public GoDeflate::Encoder {
 public:
  ChainEncoder(const ChainLevel& level, ByteSink sink) : level_(level), blocks_(std::move(sink)) {
    std::memset(window_, 0, sizeof window_);
    std::memset(heads_, 0, sizeof heads_);
    std::memset(links_, 0, sizeof links_);
  }

  void write(std::span<const uint8_t> plain) override {
    while (!plain.empty()) {
      if (position_ >= kMoveAt) {
        move_window();
      } else if (end_ == kWindowBytes) {
        parse();
        move_window();
      }
      const size_t part = std::min<size_t>(plain.size(), kWindowBytes - end_);
      std::memcpy(window_ + end_, plain.data(), part);
      end_ += static_cast<uint32_t>(part);
      plain = plain.subspan(part);
    }
  }
  void end_write() override { parse(); }
  void flush() override {
    const bool silent = warm_up_.reaches(moved_ + end_);
    parse_all();
    if (!silent) blocks_.flush();
  }
  void finish() override {
    parse_all();
    blocks_.finish();
  }
  void begin_after(uint64_t plain, unsigned phase) override { warm_up_.set(plain, phase); }
  void drain() override { blocks_.bits().drain(); }

 private:
  static constexpr uint32_t kHalfWindow = kMaxDistance;
  static constexpr uint32_t kWindowBytes = 2 * kHalfWindow;
  static constexpr uint32_t kShortestMatch = 4;
  static constexpr uint32_t kNoMatch = kShortestMatch - 1;
  static constexpr uint32_t kShortMatchReach =
      4096;  // a match of 4 bytes is not taken from further
  static constexpr uint32_t kMinLookahead = kShortestMatch + kMaxMatch;
  static constexpr uint32_t kMoveAt = kWindowBytes - kMinLookahead;
  static constexpr uint32_t kLost = UINT32_MAX;
  static constexpr size_t kBlockTokens = 16384;
  static constexpr unsigned kHashBits = 17;

  struct Match {
    uint32_t length;
    uint32_t distance;
  };

  static uint32_t hash(const uint8_t* at) {
    return (__builtin_bswap32(load_le32(at)) * kHashMultiplier) >> (32 - kHashBits);
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

  void parse() {
    if (level_.lazy != 0) {
      parse_lazily<false>();
    } else {
      parse_greedily<false>();
    }
  }
  void parse_all() {
    parse();
    if (level_.lazy != 0) {
      parse_lazily<true>();
    } else {
      parse_greedily<true>();
    }
    if (literal_pending_) {
      tokens_[token_count_++] = counts_.count_literal(window_[position_ - 1]);
      literal_pending_ = false;
    }
    if (!warm_up_.is_over()) drop_learned(position_);
    if (token_count_ != 0) write_block(position_);
  }

  void end_full_block(uint32_t end) {
    if (warm_up_.is_over()) return write_block(end);
    drop_learned(end);
  }
  void drop_learned(uint32_t end) {
    block_begin_ =
        warm_up_.drop(block_begin_, moved_ + end, tokens_, token_count_, counts_, blocks_.bits());
    block_start_ = block_begin_ >= moved_ ? static_cast<uint32_t>(block_begin_ - moved_) : kLost;
  }
  void write_block(uint32_t end) {
    last_block_ = {block_begin_, blocks_.bits().position()};
    std::optional<std::span<const uint8_t>> plain;
    if (block_start_ <= end) plain.emplace(window_ + block_start_, end - block_start_);
    blocks_.write_smallest({tokens_, token_count_}, counts_, plain);
    counts_.clear();
    token_count_ = 0;
    block_start_ = end;
    block_begin_ = moved_ + end;
  }

  void insert(uint32_t position) {
    uint16_t& head = heads_[hash(window_ + position)];
    links_[(position + 1) % kHalfWindow] = head;
    head = static_cast<uint16_t>(position + 1);
  }
  void insert_range(uint32_t from, uint32_t to) {
    for (; from < to; ++from) insert(from);
  }

  /// The first of the longest matches on the chain that are longer than `best`, if any.
  Match search(uint32_t position, uint32_t candidate, uint32_t best, uint32_t lookahead) const {
    const uint32_t longest = std::min(lookahead, kMaxMatch);
    const uint32_t nice = std::min(level_.nice, longest);
    // The link of position - 32768 is not yet overwritten, so this bound alone ends every chain.
    const uint32_t bound = position > kHalfWindow ? position - kHalfWindow : 0;
    const uint8_t* const here = window_ + position;
    uint32_t distance = 0;
    // Something longer than `best` agrees in the four bytes that end there, too.
    const uint8_t* tail_window = window_ + best - kNoMatch - 1;
    uint32_t tail = load_le32(here + best - kNoMatch);
    for (uint32_t tries = level_.tries; candidate > bound && tries > 0; --tries) {
      if (load_le32(tail_window + candidate) == tail) {
        const uint32_t at = candidate - 1;
        const uint32_t length = match_length(window_ + at, here, longest);
        if (length > best && (length > kShortestMatch || position - at <= kShortMatchReach)) {
          best = length;
          distance = position - at;
          if (length >= nice) break;
          tail_window = window_ + best - kNoMatch - 1;
          tail = load_le32(here + best - kNoMatch);
        }
      }
      candidate = links_[candidate % kHalfWindow];
    }
    return {best, distance};
  }

  /// Stops when less than a full lookahead is left, or (kToEnd) at the end of the window.
  template <bool kToEnd>
  void parse_lazily() {
    const uint32_t insert_end = end_ < kNoMatch ? 0 : end_ - kNoMatch;
    uint32_t position = position_;
    Match previous = previous_;
    while (end_ - position >= (kToEnd ? 1 : kMinLookahead)) {
      Match found = previous;
      if (!kToEnd || position < insert_end) {
        uint16_t& head = heads_[hash(window_ + position)];
        const uint32_t candidate = head;
        head = static_cast<uint16_t>(position + 1);
        const uint32_t lookahead = end_ - position;
        if (previous.length < level_.lazy && (!kToEnd || lookahead > previous.length)) {
          found = search(position, candidate, previous.length, lookahead);
        }
        links_[(position + 1) % kHalfWindow] = static_cast<uint16_t>(candidate);
      }
      if (previous.length >= kShortestMatch && found.length <= previous.length) {
        tokens_[token_count_++] = counts_.count_match(previous.length, previous.distance);
        const uint32_t next = position + previous.length - 1;
        insert_range(position + 1, kToEnd ? std::min(next, insert_end) : next);
        position = next;
        literal_pending_ = false;
        previous = {kNoMatch, 0};
        if (token_count_ == kBlockTokens) end_full_block(position);
      } else {
        if (literal_pending_) {
          tokens_[token_count_++] = counts_.count_literal(window_[position - 1]);
          if (token_count_ == kBlockTokens) end_full_block(position);
        }
        literal_pending_ = true;
        previous = found;
        ++position;
      }
    }
    position_ = position;
    previous_ = previous;
  }

  template <bool kToEnd>
  void parse_greedily() {
    const uint32_t insert_end = end_ < kNoMatch ? 0 : end_ - kNoMatch;
    uint32_t position = position_;
    while (end_ - position >= (kToEnd ? 1 : kMinLookahead)) {
      Match found = {kNoMatch, 0};
      if (!kToEnd || position < insert_end) {
        uint16_t& head = heads_[hash(window_ + position)];
        const uint32_t candidate = head;
        head = static_cast<uint16_t>(position + 1);
        found = search(position, candidate, kNoMatch, end_ - position);
        links_[(position + 1) % kHalfWindow] = static_cast<uint16_t>(candidate);
      }
      if (found.length >= kShortestMatch) {
        tokens_[token_count_++] = counts_.count_match(found.length, found.distance);
        const uint32_t next = position + found.length;
        if (found.length <= level_.insert_limit) {
          insert_range(position + 1, kToEnd ? std::min(next, insert_end) : next);
        }
        position = next;
      } else {
        tokens_[token_count_++] = counts_.count_literal(window_[position]);
        ++position;
      }
      if (token_count_ == kBlockTokens) end_full_block(position);
    }
    position_ = position;
  }

  const ChainLevel level_;
  uint32_t position_ = 0;
  uint32_t end_ = 0;
  uint32_t block_start_ = 0;
  bool literal_pending_ = false;  // lazy: the byte before position_ is not yet in a token
  Match previous_ = {kNoMatch, 0};
  uint64_t moved_ = 0;        // bytes before the window
  uint64_t block_begin_ = 0;  // bytes before the block
  WarmUp warm_up_;
  size_t token_count_ = 0;
  SymbolCounts counts_;
  uint8_t window_[kWindowBytes + 16];
  uint16_t links_[kHalfWindow];  // by table entry: the entry before it with the same hash
  uint16_t heads_[size_t{1} << kHashBits];
  Token tokens_[kBlockTokens];
  BlockWriter blocks_;
};

// --- Blocks of 65535 bytes: levels -2, 0, 1 -----------------------------------------------------

/// Collects full blocks; a shorter one only when flushing.
class BlockEncoder : public GoDeflate::Encoder {
 public:
  void write(std::span<const uint8_t> plain) final {
    while (!plain.empty()) {
      if (size_ == kMaxStoredBytes) end_block();
      const size_t part = std::min(plain.size(), kMaxStoredBytes - size_);
      std::memcpy(buffer_ + kMaxDistance + size_, plain.data(), part);
      size_ += part;
      plain = plain.subspan(part);
    }
  }
  void flush() final {
    const bool silent = is_learning();
    end_block();
    if (!silent) blocks_.flush();
  }
  void finish() final {
    end_block();
    blocks_.finish();
  }
  /// `plain` is a multiple of the block size, or where a flush was.
  void begin_after(uint64_t plain, unsigned phase) final {
    learned_ = plain;
    blocks_.bits().begin(phase);
  }
  void drain() final { blocks_.bits().drain(); }

 protected:
  explicit BlockEncoder(ByteSink sink) : blocks_(std::move(sink)) {}

  /// Writes one block; 1..65535 bytes.
  virtual void encode(std::span<const uint8_t> plain) = 0;

  BlockWriter& blocks() { return blocks_; }
  /// Whether what is made of this block is dropped.
  bool is_learning() const { return done_ < learned_; }

  /// Makes the end of the block readable before the start of the next one.
  void keep_as_history(std::span<const uint8_t> plain) {
    const size_t part = std::min<size_t>(plain.size(), kMaxDistance);
    std::memmove(buffer_ + kMaxDistance - part, plain.data() + plain.size() - part, part);
  }

 private:
  void end_block() {
    if (!is_learning()) last_block_ = {done_, blocks_.bits().position()};
    if (size_ != 0) encode({buffer_ + kMaxDistance, size_});
    done_ += size_;
    size_ = 0;
  }

  BlockWriter blocks_;
  size_t size_ = 0;
  uint64_t done_ = 0;     // bytes before the block
  uint64_t learned_ = 0;  // bytes to learn from
  uint8_t buffer_[kMaxDistance + kMaxStoredBytes + 16] = {};
};

class StoredEncoder final : public BlockEncoder {
 public:
  explicit StoredEncoder(ByteSink sink) : BlockEncoder(std::move(sink)) {}

 private:
  void encode(std::span<const uint8_t> plain) override {
    if (!is_learning()) blocks().write_stored(plain);
  }
};

class HuffmanEncoder final : public BlockEncoder {
 public:
  explicit HuffmanEncoder(ByteSink sink) : BlockEncoder(std::move(sink)) {}

 private:
  void encode(std::span<const uint8_t> plain) override {
    if (!is_learning()) blocks().write_literals(plain);
  }
};

/// Level 1: one candidate per hash, steps that grow while nothing is found.
class FastEncoder final : public BlockEncoder {
 public:
  explicit FastEncoder(ByteSink sink) : BlockEncoder(std::move(sink)) {}

 private:
  static constexpr unsigned kHashBits = 14;
  static constexpr uint32_t kMargin = 15;  // no match starts this close to the end of a block
  static constexpr uint32_t kFoundBytes = 4;
  static constexpr size_t kTinyBlock = 128;
  static constexpr size_t kStoredBlock = 16;
  static constexpr uint32_t kRebaseAt = 1u << 31;
  static constexpr uint32_t kFirstBase = kMaxStoredBytes;

  struct Entry {
    uint32_t bytes;
    uint32_t place;  // base_ plus position; 0 is too far away from everywhere
  };

  static uint32_t hash(uint32_t bytes) { return (bytes * kHashMultiplier) >> (32 - kHashBits); }

  void encode(std::span<const uint8_t> plain) override {
    if (plain.size() < kTinyBlock) {
      if (!is_learning()) write_tiny(plain);
      forget_history();
      return;
    }
    if (base_ >= kRebaseAt) rebase();
    run_count_ = 0;
    counts_.clear();
    const size_t matched = find_runs(plain);
    if (is_learning()) {
      // Only the table and the history count.
    } else if (plain.size() - matched + run_count_ > plain.size() - (plain.size() >> 4)) {
      blocks().write_literals(plain);
    } else {
      blocks().write_dynamic({runs_, run_count_}, counts_, plain);
    }
    base_ += static_cast<uint32_t>(plain.size());
    history_ = plain.size();
    keep_as_history(plain);
  }

  void write_tiny(std::span<const uint8_t> plain) {
    if (plain.size() <= kStoredBlock) {
      blocks().write_stored(plain);
    } else {
      blocks().write_literals(plain);
    }
  }
  void forget_history() {
    history_ = 0;
    base_ += kMaxDistance;
  }
  void rebase() {
    const uint32_t amount = base_ - kFirstBase;
    for (Entry& entry : table_) entry.place = entry.place > amount ? entry.place - amount : 0;
    base_ = kFirstBase;
  }

  /// Fills runs_ and counts_; returns the number of bytes in matches.
  size_t find_runs(std::span<const uint8_t> plain) {
    const uint8_t* const bytes = plain.data();
    const auto size = static_cast<uint32_t>(plain.size());
    const uint32_t last_start = size - kMargin;
    const uint32_t base = base_;
    size_t matched = 0;
    uint32_t done = 0;
    uint32_t position = 0;
    uint32_t next = 0;
    uint32_t value = load_le32(bytes);
    uint32_t slot = hash(value);
    uint32_t skip = 32;
    for (;;) {
      // Look for four bytes seen before.
      position = next;
      next += skip >> 5;
      skip += skip >> 5;
      if (next > last_start) break;
      Entry found = table_[slot];
      table_[slot] = {value, base + position};
      const uint32_t next_value = load_le32(bytes + next);
      slot = hash(next_value);
      if (found.bytes != value || base + position - found.place > kMaxDistance) {
        value = next_value;
        continue;
      }
      // Take matches as long as the next one follows at once.
      counts_.count_literals(bytes + done, position - done);
      uint32_t literals = position - done;
      for (;;) {
        const uint32_t distance = base + position - found.place;
        uint32_t length = kFoundBytes;
        if (distance <= history_ + position + kFoundBytes) {
          const uint32_t longest = std::min(kMaxMatch, size - position);
          length += match_length(bytes + position + kFoundBytes,
                                 bytes + position + kFoundBytes - distance, longest - kFoundBytes);
        }
        runs_[run_count_++] = {literals, counts_.count_match(length, distance)};
        literals = 0;
        matched += length;
        position += length;
        done = position;
        if (position >= last_start) break;
        const uint64_t around = load_le64(bytes + position - 1);
        const auto before = static_cast<uint32_t>(around);
        table_[hash(before)] = {before, base + position - 1};
        value = static_cast<uint32_t>(around >> 8);
        slot = hash(value);
        found = table_[slot];
        table_[slot] = {value, base + position};
        if (found.bytes != value || base + position - found.place > kMaxDistance) {
          value = static_cast<uint32_t>(around >> 16);
          slot = hash(value);
          break;
        }
      }
      if (position >= last_start) break;
      next = position + 1;
      skip = 32;
    }
    counts_.count_literals(bytes + done, size - done);
    return matched;
  }

  uint32_t base_ = kFirstBase;
  size_t history_ = 0;  // bytes of the block before this one, when known
  size_t run_count_ = 0;
  SymbolCounts counts_;
  Entry table_[size_t{1} << kHashBits] = {};
  TokenRun runs_[kMaxStoredBytes / kFoundBytes + 1];
};

std::unique_ptr<GoDeflate::Encoder> make_encoder(int level, ByteSink sink) {
  assert(GoDeflate::is_valid_level(level));
  if (level == -2) return std::make_unique<HuffmanEncoder>(std::move(sink));
  if (level == 0) return std::make_unique<StoredEncoder>(std::move(sink));
  if (level == 1) return std::make_unique<FastEncoder>(std::move(sink));
  const auto index = static_cast<size_t>(level < 0 ? 4 : level - 2);
  return std::make_unique<ChainEncoder>(kChainLevels[index], std::move(sink));
}

}  // namespace

GoDeflate::GoDeflate(int level, ByteSink sink) : encoder_(make_encoder(level, std::move(sink))) {}
GoDeflate::~GoDeflate() = default;
GoDeflate::GoDeflate(GoDeflate&&) noexcept = default;
GoDeflate& GoDeflate::operator=(GoDeflate&&) noexcept = default;

void GoDeflate::write(std::span<const uint8_t> plain) {
  encoder_->write(plain);
}
void GoDeflate::end_write() {
  encoder_->end_write();
}
void GoDeflate::flush() {
  encoder_->flush();
}
void GoDeflate::finish() {
  encoder_->finish();
}
void GoDeflate::begin_after(uint64_t plain, unsigned phase) {
  encoder_->begin_after(plain, phase);
}
BlockStart GoDeflate::last_block() const {
  return encoder_->last_block();
}
void GoDeflate::drain() {
  encoder_->drain();
}

}  // namespace bundle::codec
