#include "codec/deflate/klauspost_deflate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <optional>
#include <utility>

#include "codec/deflate/deflate_format.h"
#include "codec/deflate/dynamic_header.h"
#include "codec/deflate/huffman_code.h"
#include "codec/deflate/match_length.h"
#include "codec/deflate/token_writer.h"

namespace bundle::codec {

class KlauspostDeflate::Encoder {
 public:
  virtual ~Encoder() = default;
  virtual void write(std::span<const uint8_t> plain) = 0;
  virtual void flush() = 0;
  virtual void finish() = 0;
  virtual void reset(std::span<const uint8_t> dictionary) = 0;
};

namespace {

constexpr unsigned kMaxCodeLength = 15;

/// What a match finder made of one block.
struct Parse {
  std::span<const uint8_t> plain;
  std::span<const TokenRun> runs;
  SymbolCounts& counts;
  size_t token_count;
};

#if defined(__GNUC__) && !defined(__clang__)
#define BUNDLE_EXACT_FLOAT __attribute__((optimize("fp-contract=off")))
#else
#define BUNDLE_EXACT_FLOAT
#endif

/// The size of a block under an ideal code, estimated in single precision: the original compares
/// this estimate, so each operation has to round as it does there.
class SizeEstimate {
 public:
  BUNDLE_EXACT_FLOAT static uint64_t of(const Parse& parse) {
    float ideal = 0;
    uint64_t extra = 0;
    uint32_t matches = 0;
    const SymbolCounts& counts = parse.counts;
    if (parse.token_count > 0) {
      const float share = 1.0f / static_cast<float>(parse.token_count);
      for (size_t byte = 0; byte < 256; ++byte) add(ideal, counts.literals[byte], share);
      ideal += 15;
      for (size_t i = 0; i < kLengthSymbols; ++i) {
        const uint32_t count = counts.literals[kFirstLengthSymbol + i];
        add(ideal, count, share);
        extra += uint64_t{count} * kLengthExtraBits[i];
        matches += count;
      }
    }
    if (matches > 0) {
      const float share = 1.0f / static_cast<float>(matches);
      for (size_t i = 0; i < kDistanceSymbols; ++i) {
        add(ideal, counts.distances[i], share);
        extra += uint64_t{counts.distances[i]} * distance_extra_bits(i);
      }
    }
    return static_cast<uint64_t>(ideal) + extra;
  }

 private:
  BUNDLE_EXACT_FLOAT static void add(float& sum, uint32_t count, float share) {
    if (count == 0) return;
    const auto number = static_cast<float>(count);
    float bits = -binary_logarithm(number * share);
    bits = bits < 1 ? 1 : bits > 15 ? 15 : bits;
    sum += bits * number;
  }
  /// A parabola through the mantissa.
  BUNDLE_EXACT_FLOAT static float binary_logarithm(float value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    const auto exponent = static_cast<float>(static_cast<int>(bits >> 23 & 0xff) - 128);
    const auto mantissa = std::bit_cast<float>((bits & 0x807fffff) + (127u << 23));
    return exponent + ((-0.34484843f * mantissa + 2.02466578f) * mantissa - 0.67487759f);
  }
};

/// Block choice and output of the original: a dynamic block may stay open, so that later parts of
/// the input go on with its code; its end-of-block is written once something else has to start.
class BlockWriter {
 public:
  BlockWriter(ByteSink sink, unsigned penalty_shift)
      : bits_(std::move(sink)), penalty_shift_(penalty_shift) {
    fixed_body_.use(fixed_literal_code(), fixed_distance_code());
  }

  void write_stored(std::span<const uint8_t> plain) {
    end_open_block();
    bits_.put(0, 3);
    bits_.align();
    bits_.put(plain.size() | (~plain.size() & 0xffff) << 16, 32);
    bits_.put_bytes(plain);
  }

  /// `last`: the block may not stay open.
  void write_dynamic(const Parse& parse, bool last) {
    SymbolCounts& counts = parse.counts;
    const size_t token_count = parse.token_count + (last ? 1 : 0);
    if (last) counts.literals[kEndOfBlock] = 1;
    if (open_header_bits_ != 0 && literals_only_) {
      end_open_block();
      literals_only_ = false;
    }
    if (!can_reuse(counts)) end_open_block();
    size_t literal_count = kLiteralSymbols;
    size_t distance_count = kDistanceSymbols;
    if (last) {
      while (counts.literals[literal_count - 1] == 0) --literal_count;
      while (distance_count > 0 && counts.distances[distance_count - 1] == 0) --distance_count;
      if (distance_count == 0) {
        counts.distances[0] = 1;
        distance_count = 1;
      }
    }
    const uint64_t extra = extra_bits(counts);
    const uint64_t stored = stored_bits(parse.plain);
    if (open_header_bits_ != 0) {
      uint64_t fresh = open_header_bits_ + SizeEstimate::of({parse.plain, parse.runs, counts,
                                                             token_count});
      fresh += literal_codes_[kEndOfBlock].length + (fresh >> penalty_shift_);
      const uint64_t reused = coded_size(counts) + extra;
      if (fresh < reused) end_open_block();
      const uint64_t size = std::min(fresh, reused);
      if (token_count < kFewTokens && fixed_size(counts) + extra + 7 < size) {
        write_fixed_or_stored(parse, stored <= size);
        return;
      }
      if (stored <= size) {
        write_stored(parse.plain);
        return;
      }
    }
    if (open_header_bits_ == 0) {
      counts.literals[kEndOfBlock] = 1;
      build_huffman_code(counts.literals, kMaxCodeLength, literal_codes_);
      build_huffman_code(counts.distances, kMaxCodeLength, distance_codes_);
      header_.plan(std::span(literal_codes_).first(literal_count),
                   std::span(distance_codes_).first(distance_count));
      const uint64_t size = header_.bits() + coded_size(counts) + extra;
      if (token_count < kFewTokens) {
        const uint64_t fixed = fixed_size(counts) + extra;
        if (fixed <= size) {
          write_fixed_or_stored(parse, stored <= fixed);
          return;
        }
      }
      if (stored <= size) {
        write_stored(parse.plain);
        return;
      }
      header_.write(bits_, false);
      body_.use(literal_codes_, distance_codes_);
      open_header_bits_ = header_.bits();
      literals_only_ = false;
    }
    body_.write(bits_, parse.runs, parse.plain);
    if (last) end_open_block();
  }

  void write_literals(std::span<const uint8_t> plain, bool last) {
    std::array<uint32_t, kEndOfBlock + 1> weights{};
    count_bytes(plain, weights);
    if (plain.size() > 1024 && looks_random(weights, plain.size())) {
      write_stored(plain);
      return;
    }
    weights[kEndOfBlock] = 1;
    std::array<CodeWord, kEndOfBlock + 1> codes;
    build_huffman_code(weights, kMaxCodeLength, codes);
    constexpr uint64_t kUsualHeaderBits = 70 * 8;
    uint64_t fresh = coded_bits(weights, codes) +
                     (open_header_bits_ != 0 ? open_header_bits_ : kUsualHeaderBits);
    fresh += fresh >> penalty_shift_;
    if (stored_bits(plain) <= fresh) {
      write_stored(plain);
      return;
    }
    if (open_header_bits_ != 0) {
      const auto bytes = std::span<const uint32_t>(weights).first(256);
      if (!covers(literal_codes_, bytes) || fresh < coded_bits(bytes, literal_codes_)) {
        end_open_block();
      }
    }
    if (open_header_bits_ == 0) {
      std::copy(codes.begin(), codes.end(), literal_codes_.begin());
      constexpr std::array<CodeWord, 1> kUnusedDistance = {CodeWord{0, 1}};
      header_.plan(codes, kUnusedDistance);
      header_.write(bits_, false);
      body_.use_literals(literal_codes_);
      open_header_bits_ = header_.bits();
      literals_only_ = true;
    }
    body_.write_literals(bits_, plain);
    if (last) {
      end_open_block();
      literals_only_ = false;
    }
  }

  void flush() {
    write_stored({});
    bits_.drain();
  }
  void finish() {
    end_open_block();
    constexpr unsigned kFinalFixedBlock = 0b011;  // and seven zero bits for its end
    bits_.put(kFinalFixedBlock, 10);
    bits_.align();
    bits_.drain();
  }

 private:
  static constexpr size_t kFewTokens = 250;  // a fixed code is considered below this

  static uint64_t stored_bits(std::span<const uint8_t> plain) { return (plain.size() + 5) * 8; }
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
  static uint64_t fixed_size(const SymbolCounts& counts) {
    return 3 + coded_bits(counts.literals, fixed_literal_code()) +
           coded_bits(counts.distances, fixed_distance_code());
  }
  static bool covers(std::span<const CodeWord> codes, std::span<const uint32_t> weights) {
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] != 0 && codes[i].length == 0) return false;
    }
    return true;
  }
  static void count_bytes(std::span<const uint8_t> plain, std::span<uint32_t> weights) {
    std::array<std::array<uint32_t, 256>, 4> parts{};
    size_t i = 0;
    for (; i + 4 <= plain.size(); i += 4) {
      ++parts[0][plain[i]];
      ++parts[1][plain[i + 1]];
      ++parts[2][plain[i + 2]];
      ++parts[3][plain[i + 3]];
    }
    for (; i < plain.size(); ++i) ++parts[0][plain[i]];
    for (size_t byte = 0; byte < 256; ++byte) {
      weights[byte] = parts[0][byte] + parts[1][byte] + parts[2][byte] + parts[3][byte];
    }
  }
  /// Whether the bytes are spread so evenly that no code can gain anything.
  static bool looks_random(std::span<const uint32_t> weights, size_t size) {
    const double average = static_cast<double>(size) / 256;
    const auto limit = static_cast<double>(2 * size);
    double squares = 0;
    for (size_t byte = 0; byte < 256 && squares <= limit; ++byte) {
      const double difference = static_cast<double>(weights[byte]) - average;
      squares += difference * difference;
    }
    return squares < limit;
  }

  uint64_t coded_size(const SymbolCounts& counts) const {
    return coded_bits(counts.literals, literal_codes_) +
           coded_bits(counts.distances, distance_codes_);
  }
  bool can_reuse(const SymbolCounts& counts) const {
    return covers(distance_codes_, counts.distances) && covers(literal_codes_, counts.literals);
  }
  void end_open_block() {
    if (open_header_bits_ == 0) return;
    bits_.put(literal_codes_[kEndOfBlock].bits, literal_codes_[kEndOfBlock].length);
    open_header_bits_ = 0;
  }
  void write_fixed_or_stored(const Parse& parse, bool stored) {
    if (stored) {
      write_stored(parse.plain);
      return;
    }
    end_open_block();
    bits_.put(0b010, 3);
    fixed_body_.write(bits_, parse.runs, parse.plain);
    fixed_body_.write_end_of_block(bits_);
  }

  BitWriter bits_;
  const unsigned penalty_shift_;     // a new code is taken to cost size >> this more than estimated
  uint64_t open_header_bits_ = 0;    // size of the header of the open block; 0: none is open
  bool literals_only_ = false;       // the open block has no code for matches
  DynamicHeader header_;
  TokenWriter body_;
  TokenWriter fixed_body_;
  std::array<CodeWord, kLiteralSymbols> literal_codes_;
  std::array<CodeWord, kDistanceSymbols> distance_codes_;
};

/// Turns a block into runs. The 32 KiB before the block are readable; `history` of them are part
/// of the stream. Positions count from the start of the block; tables keep places: base + position.
class Parser {
 public:
  static constexpr size_t kMaxRuns = kMaxStoredBytes / kMinMatch + 1;

  Parse result() { return {plain_, {runs_, run_count_}, counts_, token_count_}; }

 protected:
  static constexpr uint32_t kMargin = 11;  // no match starts this close to the end of a block
  static constexpr uint32_t kSearchedMatch = kMaxMatch;
  static constexpr unsigned kTableBits = 15;
  static constexpr size_t kTableSize = size_t{1} << kTableBits;

  static uint32_t hash4(uint64_t bytes) {
    return (static_cast<uint32_t>(bytes) * 2654435761u) >> (32 - kTableBits);
  }
  static uint32_t hash5(uint64_t bytes) {
    return static_cast<uint32_t>(((bytes << 24) * 889523592379u) >> (64 - kTableBits));
  }
  static uint32_t hash7(uint64_t bytes) {
    return static_cast<uint32_t>(((bytes << 8) * 58295818150454627u) >> (64 - kTableBits));
  }

  void start(std::span<const uint8_t> plain, uint32_t history) {
    plain_ = plain;
    bytes_ = plain.data();
    size_ = static_cast<uint32_t>(plain.size());
    history_ = history;
    emitted_ = 0;
    run_count_ = 0;
    token_count_ = 0;
    counts_.clear();
  }

  uint32_t first_four(uint32_t position) const { return load_le32(bytes_ + position); }
  uint32_t first_four(uint32_t position, uint32_t distance) const {
    return load_le32(bytes_ + position - distance);
  }
  /// Whether the four bytes `distance` before are the same as `value`, in reach.
  bool same_four(uint64_t value, uint32_t position, uint32_t distance) const {
    return distance < kMaxDistance && first_four(position, distance) == static_cast<uint32_t>(value);
  }
  /// Length of a match of which four bytes are known, at most 258.
  uint32_t short_length(uint32_t position, uint32_t distance) const {
    const uint8_t* const at = bytes_ + position + 4;
    return 4 + match_length(at, at - distance, std::min(kSearchedMatch - 4, size_ - position - 4));
  }
  /// Any length, from `position` on.
  uint32_t long_length(uint32_t position, uint32_t distance) const {
    const uint8_t* const at = bytes_ + position;
    return match_length(at, at - distance, size_ - position);
  }

  /// Adds the match and the literals before it; moves its start back as far as bytes agree.
  /// Returns its length.
  uint32_t emit(uint32_t position, uint32_t distance, uint32_t length) {
    const uint8_t* const bytes = bytes_;
    const uint32_t emitted = emitted_;
    const uint32_t first = std::max(emitted, distance > history_ ? distance - history_ : 0);
    const uint32_t before = match_length_before(bytes + position, bytes + position - distance,
                                                position > first ? position - first : 0);
    position -= before;
    length += before;
    uint32_t literals = position - emitted;
    counts_.count_literals(bytes + emitted, literals);
    token_count_ += literals;
    emitted_ = position + length;
    const uint32_t symbol = distance_symbol(distance - 1);
    for (uint32_t left = length; left > 0;) {
      uint32_t part = left;
      if (part > kMaxMatch) part = part > kMaxMatch + kMinMatch ? kMaxMatch : kMaxMatch - kMinMatch;
      left -= part;
      ++counts_.literals[kFirstLengthSymbol + length_symbol(part - kMinMatch)];
      ++counts_.distances[symbol];
      runs_[run_count_++] = {literals, Token::match(part - kMinMatch, distance - 1, symbol)};
      ++token_count_;
      literals = 0;
    }
    return length;
  }
  /// The rest are literals; a block without any match stays without tokens.
  void emit_rest() {
    if (token_count_ == 0) return;
    counts_.count_literals(bytes_ + emitted_, size_ - emitted_);
    token_count_ += size_ - emitted_;
  }

  std::span<const uint8_t> plain_;
  const uint8_t* bytes_ = nullptr;
  uint32_t size_ = 0;
  uint32_t history_ = 0;
  uint32_t emitted_ = 0;  // end of the last match

 private:
  size_t run_count_ = 0;
  size_t token_count_ = 0;
  SymbolCounts counts_;
  TokenRun runs_[kMaxRuns];
};

inline void move_place(uint32_t& place, uint32_t amount) {
  place = place > amount ? place - amount : 0;
}

/// Level 1: one table, five bytes hashed.
class Level1Parser : public Parser {
 public:
  void parse(std::span<const uint8_t> plain, uint32_t history, uint32_t base) {
    start(plain, history);
    find(base);
    emit_rest();
  }
  void move_places(uint32_t amount) {
    for (uint32_t& place : table_) move_place(place, amount);
  }

 private:
  void find(uint32_t base) {
    const uint32_t last_start = size_ - kMargin;
    uint32_t position = 0;
    uint64_t value = load_le64(bytes_);
    for (;;) {
      const uint32_t emitted = emitted_;
      uint32_t next = 0;
      uint32_t distance = 0;
      uint32_t slot = hash5(value);
      for (;;) {
        const uint32_t found = table_[slot];
        next = position + 2 + ((position - emitted) >> 5);
        if (next > last_start) return;
        uint64_t next_value = load_le64(bytes_ + next);
        table_[slot] = base + position;
        slot = hash5(next_value);
        distance = base + position - found;
        if (same_four(value, position, distance)) {
          table_[slot] = base + next;
          break;
        }
        value = next_value;
        position = next;
        ++next;
        const uint32_t second = table_[slot];
        table_[slot] = base + position;
        distance = base + position - second;
        if (same_four(value, position, distance)) {
          table_[slot] = base + next;
          break;
        }
        value >>= 8;
        position = next;
        slot = hash5(value);
      }
      for (;;) {
        const uint32_t length = emit(position, distance, 4 + long_length(position + 4, distance));
        position = emitted_;
        if (next >= position) position = next + 1;
        if (position >= last_start) {
          if (position + length + 8 < size_) {
            table_[hash5(load_le64(bytes_ + position))] = base + position;
          }
          return;
        }
        const uint64_t around = load_le64(bytes_ + position - 2);
        table_[hash5(around)] = base + position - 2;
        value = around >> 16;
        slot = hash5(value);
        distance = base + position - table_[slot];
        table_[slot] = base + position;
        if (distance > kMaxDistance || first_four(position, distance) != first_four(position)) {
          value = around >> 24;
          ++position;
          break;
        }
      }
    }
  }

  uint32_t table_[kTableSize] = {};
};

/// Levels 5 and 6: a table by four bytes, and one by seven bytes with two places each.
class TwoTableParser : public Parser {
 public:
  void move_places(uint32_t amount) {
    for (uint32_t& place : short_) move_place(place, amount);
    for (Pair& pair : long_) pair.move(amount);
  }

 protected:
  /// Two places in one word, so that a push is one load and one store.
  class Pair {
   public:
    uint32_t newer() const { return static_cast<uint32_t>(places_); }
    uint32_t older() const { return static_cast<uint32_t>(places_ >> 32); }
    void push(uint32_t place) { places_ = places_ << 32 | place; }
    void move(uint32_t amount) {
      uint32_t places[] = {newer(), older()};
      for (uint32_t& place : places) move_place(place, amount);
      places_ = uint64_t{places[1]} << 32 | places[0];
    }

   private:
    uint64_t places_ = 0;
  };

  void insert_both(uint64_t value, uint32_t place) {
    short_[hash4(value)] = place;
    long_[hash7(value)].push(place);
  }

  uint32_t short_[kTableSize] = {};
  Pair long_[kTableSize];
};

struct Found {
  uint32_t position;
  uint32_t distance;
  uint32_t length;
  uint32_t next;  // places up to this one may be in the tables; 0: nothing found
};

template <int kLevel>
class Level56Parser : public TwoTableParser {
 public:
  void parse(std::span<const uint8_t> plain, uint32_t history, uint32_t base) {
    start(plain, history);
    find(base);
    emit_rest();
  }

 private:
  static constexpr unsigned kStepShift = kLevel == 5 ? 6 : 7;

  void find(uint32_t base) {
    const uint32_t last_start = size_ - kMargin;
    uint32_t position = 0;
    uint32_t repeat = 1;
    uint64_t value = load_le64(bytes_);
    for (;;) {
      Found found = search(base, position, value, repeat);
      if (found.next == 0) return;
      if (found.length == 0) {
        found.length = 4 + long_length(found.position + 4, found.distance);
      } else if (found.length == kSearchedMatch) {
        found.length += long_length(found.position + found.length, found.distance);
      }
      try_end_of_match(base, found);
      const uint32_t length = emit(found.position, found.distance, found.length);
      repeat = found.distance;
      position = emitted_;
      if (found.next >= position) position = found.next + 1;
      if constexpr (kLevel == 5) {
        if (position >= last_start) return;
        insert_every_third(base, position + 1 - length, position - 1);
        const uint64_t around = load_le64(bytes_ + position - 1);
        insert_both(around, base + position - 1);
        value = around >> 8;
      } else {
        if (position >= last_start) {
          for (uint32_t i = found.next + 1; i + 8 < size_; i += 2) {
            insert_both(load_le64(bytes_ + i), base + i);
          }
          return;
        }
        for (uint32_t i = found.next + 1; i < position - 1; i += 2) {
          const uint64_t bytes = load_le64(bytes_ + i);
          insert_both(bytes, base + i);
          long_[hash7(bytes >> 8)].push(base + i + 1);
        }
        value = load_le64(bytes_ + position);
      }
    }
  }

  /// The next position with a candidate that agrees in four bytes; length 0: not yet measured.
  Found search(uint32_t base, uint32_t position, uint64_t value, uint32_t repeat) {
    const uint32_t last_start = size_ - kMargin;
    const uint32_t emitted = emitted_;
    uint32_t next = position;
    uint32_t short_slot = hash4(value);
    uint32_t long_slot = hash7(value);
    for (;;) {
      position = next;
      next = position + 1 + ((position - emitted) >> kStepShift);
      if (next > last_start) return {};
      const uint32_t place = base + position;
      const uint32_t short_found = short_[short_slot];
      const Pair long_found = long_[long_slot];
      const uint64_t next_value = load_le64(bytes_ + next);
      short_[short_slot] = place;
      long_[long_slot].push(place);
      short_slot = hash4(next_value);
      long_slot = hash7(next_value);

      const uint32_t newer = place - long_found.newer();
      if (newer < kMaxDistance) {
        const uint32_t older = place - long_found.older();
        if (same_four(value, position, newer)) {
          store_next(base, next, short_slot, long_slot);
          if (!same_four(value, position, older)) return {position, newer, 0, next};
          const uint32_t newer_length = short_length(position, newer);
          const uint32_t older_length = short_length(position, older);
          if (older_length > newer_length) return {position, older, older_length, next};
          return {position, newer, newer_length, next};
        }
        if (same_four(value, position, older)) {
          store_next(base, next, short_slot, long_slot);
          return {position, older, 0, next};
        }
      }
      const uint32_t distance = place - short_found;
      if (same_four(value, position, distance)) {
        Found best = {position, distance, short_length(position, distance), next};
        const Pair at_next = long_[long_slot];
        store_next(base, next, short_slot, long_slot);
        improve(base, value, next_value, repeat, at_next, best);
        return best;
      }
      value = next_value;
    }
  }

  void store_next(uint32_t base, uint32_t next, uint32_t short_slot, uint32_t long_slot) {
    short_[short_slot] = base + next;
    long_[long_slot].push(base + next);
  }

  /// Looks for a longer match that starts a little later.
  void improve(uint32_t base, uint64_t value, uint64_t next_value, uint32_t repeat,
               const Pair& at_next, Found& best) const {
    const auto try_at = [&](uint32_t position, uint32_t distance) {
      const uint32_t length = short_length(position, distance);
      if (length <= best.length) return false;
      best.position = position;
      best.distance = distance;
      best.length = length;
      return true;
    };
    if constexpr (kLevel == 6) {
      const uint32_t position = best.position + 1;
      if (first_four(position, repeat) == static_cast<uint32_t>(value >> 8) &&
          try_at(position, repeat)) {
        return;
      }
    }
    const uint32_t newer = base + best.next - at_next.newer();
    if (newer >= kMaxDistance) return;
    if (same_four(next_value, best.next, newer) && try_at(best.next, newer) && kLevel == 5) return;
    const uint32_t older = base + best.next - at_next.older();
    if (same_four(next_value, best.next, older)) try_at(best.next, older);
  }

  /// Looks for a longer match through what follows this one; its first bytes may differ.
  void try_end_of_match(uint32_t base, Found& found) const {
    constexpr uint32_t kSkipped = 2;
    const uint32_t end = found.position + found.length;
    if (end >= size_ - kMargin || (kLevel == 5 && found.length >= 30)) return;
    const Pair& at_end = long_[hash7(load_le64(bytes_ + end))];
    const uint32_t position = found.position + kSkipped;
    const auto try_place = [&](uint32_t place) {
      // Where the candidate would have to start, given the length known so far.
      const auto distance = static_cast<int32_t>(base + position + found.length - kSkipped - place);
      if (distance >= static_cast<int32_t>(kMaxDistance)) return false;
      if (distance > 0 && static_cast<uint32_t>(distance) <= position + history_) {
        const uint32_t length = long_length(position, static_cast<uint32_t>(distance));
        if (length > found.length) {
          found.position = position;
          found.distance = static_cast<uint32_t>(distance);
          found.length = length;
        }
      }
      return true;
    };
    if (try_place(at_end.newer()) && kLevel == 6) try_place(at_end.older());
  }

  void insert_every_third(uint32_t base, uint32_t from, uint32_t to) {
    if (from >= to) return;
    const uint64_t bytes = load_le64(bytes_ + from);
    insert_both(bytes, base + from);
    long_[hash7(bytes >> 8)].push(base + from + 1);
    short_[hash4(bytes >> 16)] = base + from + 2;
    for (uint32_t i = from + 4; i < to; i += 3) {
      const uint64_t more = load_le64(bytes_ + i);
      long_[hash7(more)].push(base + i);
      short_[hash4(more >> 8)] = base + i + 1;
    }
  }
};

/// Cuts the input into blocks of 65535 bytes; a shorter one only when flushing.
template <class BlockParser>
class FastEncoder final : public KlauspostDeflate::Encoder {
 public:
  FastEncoder(ByteSink sink, std::span<const uint8_t> dictionary) : blocks_(std::move(sink), 7) {
    learn(dictionary);
  }

  void write(std::span<const uint8_t> plain) override {
    while (!plain.empty()) {
      if (size_ == kMaxStoredBytes) encode(false);
      const size_t part = std::min(plain.size(), kMaxStoredBytes - size_);
      std::memcpy(block() + size_, plain.data(), part);
      size_ += part;
      plain = plain.subspan(part);
    }
  }
  void flush() override {
    encode(true);
    blocks_.flush();
  }
  void finish() override {
    encode(true);
    blocks_.finish();
  }
  void reset(std::span<const uint8_t> dictionary) override {
    forget();
    size_ = 0;
    learn(dictionary);
  }

 private:
  static constexpr size_t kBefore = 8;  // readable before the oldest history
  static constexpr size_t kTinyBlock = 128;
  static constexpr size_t kStoredBlock = 32;
  static constexpr size_t kShortestParsed = 13;
  static constexpr uint32_t kFirstBase = 2 * kMaxDistance;
  static constexpr uint32_t kRebaseAt = 1u << 30;

  uint8_t* block() { return buffer_ + kBefore + kMaxDistance; }

  void encode(bool last) {
    if (size_ == 0) return;
    const std::span<const uint8_t> plain(block(), size_);
    if (size_ < kTinyBlock) {  // only when flushing
      if (size_ <= kStoredBlock) {
        blocks_.write_stored(plain);
      } else {
        blocks_.write_literals(plain, true);
      }
      forget();
    } else {
      parse(plain);
      const Parse parsed = parser_.result();
      if (parsed.token_count == 0) {
        blocks_.write_stored(plain);
      } else if (parsed.token_count > size_ - (size_ >> 4)) {
        blocks_.write_literals(plain, last);
      } else {
        blocks_.write_dynamic(parsed, last);
      }
      keep(plain);
    }
    size_ = 0;
  }
  void parse(std::span<const uint8_t> plain) {
    if (base_ >= kRebaseAt) {
      parser_.move_places(base_ - kFirstBase);
      base_ = kFirstBase;
    }
    parser_.parse(plain, history_, base_);
  }
  void learn(std::span<const uint8_t> dictionary) {
    if (dictionary.empty()) return;
    dictionary = dictionary.last(std::min<size_t>(dictionary.size(), kMaxDistance));
    std::memcpy(block(), dictionary.data(), dictionary.size());
    const std::span<const uint8_t> plain(block(), dictionary.size());
    if (plain.size() >= kShortestParsed) parse(plain);
    keep(plain);
  }
  /// The block becomes the history of the next one.
  void keep(std::span<const uint8_t> plain) {
    std::memmove(buffer_ + kBefore, buffer_ + kBefore + plain.size(), kMaxDistance);
    history_ = static_cast<uint32_t>(std::min<size_t>(history_ + plain.size(), kMaxDistance));
    base_ += static_cast<uint32_t>(plain.size());
  }
  void forget() {
    history_ = 0;
    base_ += kMaxDistance;
  }

  BlockWriter blocks_;
  uint32_t base_ = kFirstBase;
  uint32_t history_ = 0;
  size_t size_ = 0;
  BlockParser parser_;
  uint8_t buffer_[kBefore + kMaxDistance + kMaxStoredBytes + 16] = {};
};

std::unique_ptr<KlauspostDeflate::Encoder> make_encoder(int level, ByteSink sink,
                                                        std::span<const uint8_t> dictionary) {
  if (level == -1) level = 5;
  switch (level) {
    case 1: return std::make_unique<FastEncoder<Level1Parser>>(std::move(sink), dictionary);
    case 5: return std::make_unique<FastEncoder<Level56Parser<5>>>(std::move(sink), dictionary);
    case 6: return std::make_unique<FastEncoder<Level56Parser<6>>>(std::move(sink), dictionary);
    default: assert(false); return nullptr;
  }
}

}  // namespace

KlauspostDeflate::KlauspostDeflate(int level, ByteSink sink, std::span<const uint8_t> dictionary)
    : encoder_(make_encoder(level, std::move(sink), dictionary)) {}
KlauspostDeflate::~KlauspostDeflate() = default;
KlauspostDeflate::KlauspostDeflate(KlauspostDeflate&&) noexcept = default;
KlauspostDeflate& KlauspostDeflate::operator=(KlauspostDeflate&&) noexcept = default;

bool KlauspostDeflate::is_valid_level(int level) {
  return level == -1 || level == 1 || level == 5 || level == 6;
}

void KlauspostDeflate::write(std::span<const uint8_t> plain) { encoder_->write(plain); }
void KlauspostDeflate::flush() { encoder_->flush(); }
void KlauspostDeflate::finish() { encoder_->finish(); }
void KlauspostDeflate::reset(std::span<const uint8_t> dictionary) { encoder_->reset(dictionary); }

PgzipDeflate::PgzipDeflate(int level, ByteSink sink, size_t block_bytes)
    : encoder_(level, std::move(sink)),
      block_bytes_(block_bytes),
      tail_(std::make_unique<uint8_t[]>(kDictionaryBytes)) {}

void PgzipDeflate::write(std::span<const uint8_t> plain) {
  while (!plain.empty()) {
    const auto part = plain.first(std::min(plain.size(), block_bytes_ - in_block_));
    encoder_.write(part);
    const auto end = part.last(std::min(part.size(), kDictionaryBytes));
    const size_t kept = std::min(tail_size_, kDictionaryBytes - end.size());
    std::memmove(tail_.get(), tail_.get() + tail_size_ - kept, kept);
    std::memcpy(tail_.get() + kept, end.data(), end.size());
    tail_size_ = kept + end.size();
    in_block_ += part.size();
    if (in_block_ == block_bytes_) end_block();
    plain = plain.subspan(part.size());
  }
}

void PgzipDeflate::flush() { end_block(); }

void PgzipDeflate::finish() {
  encoder_.flush();
  encoder_.finish();
}

void PgzipDeflate::end_block() {
  encoder_.flush();
  // A block no longer than the dictionary leaves none.
  encoder_.reset({tail_.get(), in_block_ > kDictionaryBytes ? kDictionaryBytes : 0});
  in_block_ = 0;
  tail_size_ = 0;
}

}  // namespace bundle::codec
