#include "codec/difference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "bundle/error.h"

namespace bundle::codec {
namespace {

constexpr std::size_t kSeed = 24;  // bytes that must be equal for two places to be compared
constexpr std::size_t kStep = 8;   // every so many places of the old bytes are known
constexpr int kTableLog = 22;
constexpr std::uint32_t kNone = UINT32_MAX;
constexpr std::size_t kBetter = 8;
constexpr std::size_t kHeader = 8;  // sizes of the table of stretches and of the subtracted bytes

void put_varint(Bytes& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
  out.push_back(static_cast<std::uint8_t>(value));
}

std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

std::uint32_t seed_hash(const std::uint8_t* at) {
  const std::uint64_t mixed = load_le<std::uint64_t>(at) * 0x9E3779B97F4A7C15 ^
                              load_le<std::uint64_t>(at + 8) * 0xC2B2AE3D27D4EB4F ^
                              load_le<std::uint64_t>(at + 16) * 0x165667B19E3779F9;
  return static_cast<std::uint32_t>((mixed ^ mixed >> 29) * 0x9E3779B97F4A7C15 >> (64 - kTableLog));
}

// Places of the old bytes by what stands there. The first of equal ones stays.
class SeedTable {
 public:
  explicit SeedTable(ByteView old) : old_(old), places_(std::size_t{1} << kTableLog, kNone) {
    for (std::size_t at = 0; at + kSeed <= old.size(); at += kStep) {
      std::uint32_t& place = places_[seed_hash(old.data() + at)];
      if (place == kNone) place = static_cast<std::uint32_t>(at);
    }
  }
  std::uint32_t find(const std::uint8_t* seed) const {
    const std::uint32_t place = places_[seed_hash(seed)];
    return place != kNone && std::memcmp(old_.data() + place, seed, kSeed) == 0 ? place : kNone;
  }

 private:
  ByteView old_;
  std::vector<std::uint32_t> places_;
};

// How many bytes from the two places on, forward (step 1) or back (step -1), are much alike: as far
// as most of them are equal.
std::size_t alike(const std::uint8_t* a, const std::uint8_t* b, std::size_t most,
                  std::ptrdiff_t step) {
  std::int64_t score = 0;
  std::int64_t best = 0;
  std::size_t length = 0;
  for (std::size_t i = 0; i < most; ++i, a += step, b += step) {
    score += *a == *b ? 1 : -1;
    if (score <= best) continue;
    best = score;
    length = i + 1;
  }
  return length;
}

// One stretch of the new bytes that is like one of the old.
struct Stretch {
  std::size_t start = 0;
  std::size_t old_start = 0;
  std::size_t length = 0;

  std::size_t end() const { return start + length; }
};

class Aligner {
 public:
  Aligner(ByteView old, ByteView plain) : old_(old), plain_(plain), seeds_(old) {}

  std::vector<Stretch> run() {
    find_anchors();
    for (std::size_t i = 0; i < anchors_.size(); ++i) extend(i);
    std::erase_if(anchors_, [](const Stretch& stretch) { return stretch.length == 0; });
    return std::move(anchors_);
  }

 private:
  // Exact matches. The alignment of the last one goes on unless another is better by kBetter bytes.
  void find_anchors() {
    for (std::size_t at = 0; at + kSeed <= plain_.size();) {
      if (goes_on(at)) {
        at += kStep;
        continue;
      }
      const std::uint32_t found = seeds_.find(plain_.data() + at);
      if (found == kNone) {
        ++at;
        continue;
      }
      const std::size_t length = equal_length(at, found);
      if (anchors_.empty() || length > equal_bytes(at, length) + kBetter)
        anchors_.push_back({at, found, length});
      at += length;
    }
  }

  // Where `at` is in the old bytes by the last alignment; past their end: there is none.
  std::size_t aligned(std::size_t at) const {
    if (anchors_.empty()) return old_.size();
    return std::min(old_.size(), anchors_.back().old_start + (at - anchors_.back().start));
  }
  bool goes_on(std::size_t at) const {
    const std::size_t on = aligned(at);
    return on + kSeed <= old_.size() &&
           std::memcmp(old_.data() + on, plain_.data() + at, kSeed) == 0;
  }
  std::size_t equal_length(std::size_t at, std::size_t old_at) const {
    const std::size_t most = std::min(plain_.size() - at, old_.size() - old_at);
    std::size_t length = 0;
    while (length < most && plain_[at + length] == old_[old_at + length]) ++length;
    return length;
  }
  std::size_t equal_bytes(std::size_t at, std::size_t length) const {
    const std::size_t on = aligned(at);
    const std::size_t most = std::min(length, old_.size() - on);
    std::size_t equal = 0;
    for (std::size_t i = 0; i < most; ++i) equal += plain_[at + i] == old_[on + i] ? 1 : 0;
    return equal;
  }

  // Back to the stretch before and forward to the next anchor; what both could have is split where
  // most bytes are equal.
  void extend(std::size_t number) {
    Stretch& stretch = anchors_[number];
    const std::size_t floor = number == 0 ? 0 : anchors_[number - 1].end();
    const std::size_t ceiling =
        number + 1 == anchors_.size() ? plain_.size() : anchors_[number + 1].start;
    stretch.length = alike(plain_.data() + stretch.start, old_.data() + stretch.old_start,
                           std::min(ceiling - stretch.start, old_.size() - stretch.old_start), 1);
    const std::size_t own_floor = number == 0 ? 0 : anchors_[number - 1].start;
    const std::size_t most = std::min(stretch.start - own_floor, stretch.old_start);
    std::size_t back = most == 0 ? 0
                                 : alike(plain_.data() + stretch.start - 1,
                                         old_.data() + stretch.old_start - 1, most, -1);
    if (stretch.start - back < floor) back = split(anchors_[number - 1], stretch, back);
    stretch.start -= back;
    stretch.old_start -= back;
    stretch.length += back;
  }

  // Shortens the stretch before so that it and the next, reaching `back` bytes back, have the most
  // equal bytes. Returns how far back the next one begins then.
  std::size_t split(Stretch& before, const Stretch& next, std::size_t back) const {
    const std::size_t first = next.start - back;
    std::int64_t score = 0;
    std::int64_t best = 0;
    std::size_t cut = first;
    for (std::size_t at = first; at < before.end(); ++at) {
      score += plain_[at] == old_[before.old_start + (at - before.start)] ? 1 : 0;
      score -= plain_[at] == old_[next.old_start - (next.start - at)] ? 1 : 0;
      if (score <= best) continue;
      best = score;
      cut = at + 1;
    }
    before.length = cut - before.start;
    return next.start - cut;
  }

  ByteView old_;
  ByteView plain_;
  SeedTable seeds_;
  std::vector<Stretch> anchors_;
};

class Cursor {
 public:
  Cursor(ByteView bytes, std::string_view what) : bytes_(bytes), what_(what) {}
  bool at_end() const { return bytes_.empty(); }
  ByteView take(std::uint64_t count) {
    if (count > bytes_.size()) fail();
    const ByteView part = bytes_.first(static_cast<std::size_t>(count));
    bytes_ = bytes_.subspan(part.size());
    return part;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      const std::uint8_t byte = take(1)[0];
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    fail();
  }
  [[noreturn]] void fail() const {
    throw Error(ErrorCode::pack_corrupt, fmt::format("{}: is no difference", what_),
                "The bundle was made wrong: ask the vendor for a new one.");
  }

 private:
  ByteView bytes_;
  std::string_view what_;
};

}  // namespace

Bytes make_difference(ByteView old, ByteView plain) {
  const std::vector<Stretch> stretches = Aligner(old, plain).run();
  Bytes table;
  Bytes subtracted;
  Bytes fresh;
  subtracted.reserve(plain.size());
  std::size_t end = 0;
  std::size_t old_end = 0;
  for (const Stretch& stretch : stretches) {
    put_varint(table, stretch.start - end);
    put_varint(table, stretch.length);
    put_varint(table, zigzag(static_cast<std::int64_t>(stretch.old_start) -
                             static_cast<std::int64_t>(old_end)));
    fresh.insert(fresh.end(), plain.begin() + static_cast<std::ptrdiff_t>(end),
                 plain.begin() + static_cast<std::ptrdiff_t>(stretch.start));
    for (std::size_t i = 0; i < stretch.length; ++i) {
      subtracted.push_back(
          static_cast<std::uint8_t>(plain[stretch.start + i] - old[stretch.old_start + i]));
    }
    end = stretch.start + stretch.length;
    old_end = stretch.old_start + stretch.length;
  }
  fresh.insert(fresh.end(), plain.begin() + static_cast<std::ptrdiff_t>(end), plain.end());
  Bytes out(kHeader);
  store_le(out.data(), static_cast<std::uint32_t>(table.size()));
  store_le(out.data() + 4, static_cast<std::uint32_t>(subtracted.size()));
  out.reserve(kHeader + table.size() + plain.size());
  for (const Bytes* part : {&table, &subtracted, &fresh})
    out.insert(out.end(), part->begin(), part->end());
  return out;
}

void apply_difference(ByteView old, ByteView difference, std::span<std::uint8_t> plain,
                      std::string_view what) {
  Cursor in(difference, what);
  const ByteView header = in.take(kHeader);
  Cursor table(in.take(load_le<std::uint32_t>(header.data())), what);
  Cursor subtracted(in.take(load_le<std::uint32_t>(header.data() + 4)), what);
  std::size_t done = 0;
  const auto copy_fresh = [&](std::uint64_t count) {
    if (count > plain.size() - done) in.fail();
    std::ranges::copy(in.take(count), plain.begin() + static_cast<std::ptrdiff_t>(done));
    done += static_cast<std::size_t>(count);
  };
  std::uint64_t old_at = 0;
  while (!table.at_end()) {
    copy_fresh(table.varint());
    const std::uint64_t length = table.varint();
    const std::uint64_t move = table.varint();
    old_at += (move >> 1) ^ (~(move & 1) + 1);
    if (length > plain.size() - done || old_at > old.size() || length > old.size() - old_at)
      in.fail();
    const ByteView add = subtracted.take(length);
    for (std::size_t i = 0; i < add.size(); ++i) {
      plain[done + i] =
          static_cast<std::uint8_t>(add[i] + old[static_cast<std::size_t>(old_at) + i]);
    }
    done += add.size();
    old_at += length;
  }
  copy_fresh(plain.size() - done);
  if (!in.at_end() || !subtracted.at_end()) in.fail();
}

}  // namespace bundle::codec
