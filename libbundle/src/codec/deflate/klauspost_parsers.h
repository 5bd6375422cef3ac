#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "codec/deflate/bit_writer.h"
#include "codec/deflate/deflate_format.h"
#include "codec/deflate/klauspost_block_writer.h"
#include "codec/deflate/match_length.h"
#include "codec/deflate/token_writer.h"

/// The match finders of klauspost/compress/flate levels 1 to 6.
namespace bundle::codec::klauspost {

/// Turns a block into runs. `history` bytes before the block are known. Positions count from the
/// start of the block; tables keep places: base + position.
class Parser {
 public:
  static constexpr size_t kMaxRuns = kMaxStoredBytes / kMinMatch + 1;
  /// Blocks are appended to the history until it would exceed this; then 32 KiB of it are kept.
  static constexpr size_t kHistoryBytes = kMaxDistance + kMaxStoredBytes;

  Parse result() { return {plain_, {runs_, run_count_}, counts_, token_count_}; }

 protected:
  static constexpr uint32_t kMargin = 11;  // no match starts this close to the end of a block
  static constexpr uint32_t kSearchedMatch = kMaxMatch;
  static constexpr unsigned kTableBits = 15;
  static constexpr size_t kTableSize = size_t{1} << kTableBits;

  static uint32_t hash4(uint64_t bytes) {
    return (static_cast<uint32_t>(bytes) * 2654435761u) >> (32 - kTableBits);
  }
  template <unsigned kBits>
  static uint32_t hash5(uint64_t bytes) {
    return static_cast<uint32_t>(((bytes << 24) * 889523592379u) >> (64 - kBits));
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
    return distance < kMaxDistance &&
           first_four(position, distance) == static_cast<uint32_t>(value);
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

/// Levels 1 and 2: one table by five bytes.
template <int kLevel>
class Level12Parser : public Parser {
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
  static constexpr unsigned kBits = kLevel == 1 ? kTableBits : 17;

  static uint32_t hash(uint64_t bytes) { return hash5<kBits>(bytes); }
  uint32_t& slot_at(uint32_t position) { return table_[hash(load_le64(bytes_ + position))]; }

  void find(uint32_t base) {
    const uint32_t last_start = size_ - kMargin;
    uint32_t position = 0;
    uint64_t value = load_le64(bytes_);
    for (;;) {
      const uint32_t emitted = emitted_;
      uint32_t next = 0;
      uint32_t distance = 0;
      uint32_t slot = hash(value);
      for (;;) {
        const uint32_t found = table_[slot];
        next = position + 2 + ((position - emitted) >> 5);
        if (next > last_start) return;
        uint64_t next_value = load_le64(bytes_ + next);
        table_[slot] = base + position;
        slot = hash(next_value);
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
          if constexpr (kLevel == 1) table_[slot] = base + next;
          break;
        }
        value >>= 8;
        position = next;
        slot = hash(value);
      }
      for (;;) {
        const uint32_t length = emit(position, distance, 4 + long_length(position + 4, distance));
        position = emitted_;
        if (next >= position) position = next + 1;
        if (position >= last_start) {
          if (position + length + 8 < size_) slot_at(position) = base + position;
          return;
        }
        if constexpr (kLevel == 2) {
          for (uint32_t i = position + 2 - length; i + 5 < position; i += 7) {
            const uint64_t bytes = load_le64(bytes_ + i);
            table_[hash(bytes)] = base + i;
            table_[hash(bytes >> 16)] = base + i + 2;
            table_[hash(bytes >> 32)] = base + i + 4;
          }
        }
        const uint64_t around = load_le64(bytes_ + position - 2);
        table_[hash(around)] = base + position - 2;
        if constexpr (kLevel == 2) table_[hash(around >> 8)] = base + position - 1;
        value = around >> 16;
        slot = hash(value);
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

  uint32_t table_[size_t{1} << kBits] = {};
};

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

/// Level 3: one table by five bytes, with two places each.
class Level3Parser : public Parser {
 public:
  void parse(std::span<const uint8_t> plain, uint32_t history, uint32_t base) {
    start(plain, history);
    find(base);
    emit_rest();
  }
  void move_places(uint32_t amount) {
    for (Pair& pair : table_) pair.move(amount);
  }

 private:
  static constexpr unsigned kBits = 16;
  static constexpr uint32_t kReach = kMaxDistance - 4;

  Pair& pair_of(uint64_t bytes) { return table_[hash5<kBits>(bytes)]; }
  Pair& pair_at(const uint8_t* at) { return pair_of(load_le64(at)); }
  bool same(uint64_t value, uint32_t position, uint32_t distance) const {
    return first_four(position, distance) == static_cast<uint32_t>(value);
  }

  void find(uint32_t base) {
    const uint32_t last_start = size_ - kMargin;
    uint32_t position = 0;
    uint64_t value = load_le64(bytes_);
    for (;;) {
      const uint32_t emitted = emitted_;
      uint32_t next = position;
      uint32_t distance = 0;
      for (;;) {
        position = next;
        next = position + 1 + ((position - emitted) >> 7);
        if (next > last_start) return;
        Pair& slot = pair_of(value);
        const uint32_t newer = base + position - slot.newer();
        const uint32_t older = base + position - slot.older();
        slot.push(base + position);
        if (newer <= kReach) {
          if (same(value, position, newer)) {
            distance = newer;
            if (older <= kReach && same(value, position, older) &&
                long_length(position + 4, older) > long_length(position + 4, newer)) {
              distance = older;
            }
            break;
          }
          if (older < kReach && same(value, position, older)) {
            distance = older;
            break;
          }
        }
        value = load_le64(bytes_ + next);
      }
      for (;;) {
        const uint32_t length = emit(position, distance, 4 + long_length(position + 4, distance));
        position = emitted_;
        if (next >= position) position = next + 1;
        if (position >= last_start) {
          // The original enters the end of the copied bytes here.
          if (emitted_ + history_ > distance && emitted_ + 8 < size_ + distance) {
            pair_at(bytes_ + emitted_ - distance).push(base + emitted_ - distance);
          }
          return;
        }
        for (uint32_t i = position + 2 - length; i + 5 < position; i += 6) {
          pair_at(bytes_ + i).push(base + i);
        }
        const uint64_t around = load_le64(bytes_ + position - 2);
        pair_of(around).push(base + position - 2);
        pair_of(around >> 8).push(base + position - 1);
        value = around >> 16;
        Pair& slot = pair_of(value);
        const uint32_t newer = base + position - slot.newer();
        const uint32_t older = base + position - slot.older();
        slot.push(base + position);
        if (newer < kReach) {
          if (same(value, position, newer)) {
            distance = newer;
            continue;
          }
          if (older < kReach && same(value, position, older)) {
            distance = older;
            continue;
          }
        }
        value = around >> 24;
        ++position;
        break;
      }
    }
  }

  Pair table_[size_t{1} << kBits];
};

/// Level 4: tables by four and by seven bytes.
/// Version 1.18 measures one of two rival matches at a wrong address: at the distance counted from
/// the start of its history buffer (kWrongAddress; the history is then all of that buffer).
template <bool kWrongAddress>
class Level4Parser : public Parser {
 public:
  static constexpr size_t kHistoryBytes =
      kWrongAddress ? 5 * kMaxStoredBytes : Parser::kHistoryBytes;

  void parse(std::span<const uint8_t> plain, uint32_t history, uint32_t base) {
    start(plain, history);
    find(base);
    emit_rest();
  }
  void move_places(uint32_t amount) {
    for (uint32_t& place : short_) move_place(place, amount);
    for (uint32_t& place : long_) move_place(place, amount);
  }

 private:
  void insert_both(uint64_t value, uint32_t place) {
    short_[hash4(value)] = place;
    long_[hash7(value)] = place;
  }
  uint32_t rival_length(uint32_t position, uint32_t distance) const {
    if constexpr (kWrongAddress) {
      return match_length(bytes_ + position, bytes_ - history_ + distance + 4, size_ - position);
    } else {
      return long_length(position, distance);
    }
  }

  void find(uint32_t base) {
    const uint32_t last_start = size_ - kMargin;
    uint32_t position = 0;
    uint64_t value = load_le64(bytes_);
    for (;;) {
      const uint32_t emitted = emitted_;
      uint32_t next = position;
      uint32_t distance = 0;
      for (;;) {
        position = next;
        next = position + 1 + ((position - emitted) >> 6);
        if (next > last_start) return;
        const uint32_t place = base + position;
        uint32_t& short_slot = short_[hash4(value)];
        uint32_t& long_slot = long_[hash7(value)];
        const uint32_t near_by_four = place - short_slot;
        distance = place - long_slot;
        short_slot = place;
        long_slot = place;
        const uint64_t next_value = load_le64(bytes_ + next);
        if (same_four(value, position, distance)) break;
        distance = near_by_four;
        if (same_four(value, position, distance)) {
          const uint32_t rival = base + next - long_[hash7(next_value)];
          if (same_four(next_value, next, rival) &&
              rival_length(next + 4, rival) > long_length(position + 4, distance)) {
            position = next;
            distance = rival;
          }
          break;
        }
        value = next_value;
      }
      emit(position, distance, 4 + long_length(position + 4, distance));
      position = emitted_;
      if (next >= position) position = next + 1;
      if (position >= last_start) {
        if (position + 8 < size_) insert_both(load_le64(bytes_ + position), base + position);
        return;
      }
      for (uint32_t i = next; i + 1 < position; i += 3) {
        const uint64_t bytes = load_le64(bytes_ + i);
        long_[hash7(bytes)] = base + i;
        insert_both(bytes >> 8, base + i + 1);
      }
      const uint64_t around = load_le64(bytes_ + position - 1);
      insert_both(around, base + position - 1);
      value = around >> 8;
    }
  }

  uint32_t short_[kTableSize] = {};
  uint32_t long_[kTableSize] = {};
};

/// Levels 5 and 6: a table by four bytes, and one by seven bytes with two places each.
class TwoTableParser : public Parser {
 public:
  void move_places(uint32_t amount) {
    for (uint32_t& place : short_) move_place(place, amount);
    for (Pair& pair : long_) pair.move(amount);
  }

 protected:
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

}  // namespace bundle::codec::klauspost
