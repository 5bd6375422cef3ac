#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

/// Test inputs made from a number. tests/data/deflate/regen/inputs.go makes the same bytes in Go.
namespace bundle::codec::test {

using Bytes = std::vector<uint8_t>;

struct Random {
  uint64_t state;

  uint64_t next() {  // splitmix64
    state += 0x9e3779b97f4a7c15;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  uint64_t below(uint64_t limit) { return next() % limit; }
};

enum class Kind { kAlphabet, kText, kTar, kRepetitive, kNoise, kCopies, kSwitching };
inline constexpr uint64_t kKinds = 7;

inline void fill_kind(Random& random, Kind kind, Bytes& out, size_t size);

inline void fill_alphabet(Random& random, Bytes& out, size_t size) {
  const uint64_t letters = 1 + random.below(256);
  const bool skewed = random.below(2) == 1;
  const uint64_t first = random.below(256);
  for (; size > 0; --size) {
    uint64_t value = random.below(letters);
    if (skewed) value = value * random.below(letters) / letters;
    out.push_back(static_cast<uint8_t>(first + value));
  }
}

inline void fill_text(Random& random, Bytes& out, size_t size) {
  constexpr std::string_view kSeparators = "        ,.\n-\t;";
  const uint64_t words = 50 + random.below(3000);
  const uint64_t seed = random.next();
  const size_t end = out.size() + size;
  while (out.size() < end) {
    const uint64_t first = random.below(words);
    const uint64_t pick = first * random.below(words) / words;
    Random word{seed + pick};
    for (uint64_t letters = 1 + word.below(9); letters > 0 && out.size() < end; --letters) {
      const uint64_t high = word.below(26);
      out.push_back(static_cast<uint8_t>('a' + high * word.below(26) / 26));
    }
    if (out.size() < end) {
      out.push_back(static_cast<uint8_t>(kSeparators[random.below(kSeparators.size())]));
    }
  }
}

inline void fill_tar(Random& random, Bytes& out, size_t size) {
  const size_t end = out.size() + size;
  for (uint64_t number = 0; out.size() < end; ++number) {
    const uint64_t body = random.below(1 + random.below(40000));
    std::array<uint8_t, 512> header{};
    const auto put = [&](size_t at, std::string_view text) {
      std::copy(text.begin(), text.end(), header.begin() + static_cast<std::ptrdiff_t>(at));
    };
    using namespace std::string_view_literals;
    Bytes name;
    fill_text(random, name, 8 + random.below(60));
    put(0, "usr/share/"sv);
    std::copy(name.begin(), name.end(), header.begin() + 10);
    put(100, "0000644\0000000000\0000000000\0"sv);
    uint64_t left = body;
    for (size_t i = 0; i < 11; ++i, left /= 8)
      header[134 - i] = static_cast<uint8_t>('0' + left % 8);
    put(136, "14712345670\0"sv);
    header[147 - number % 4] = static_cast<uint8_t>('0' + number % 8);
    left = random.below(262144);
    for (size_t i = 0; i < 6; ++i, left /= 8)
      header[153 - i] = static_cast<uint8_t>('0' + left % 8);
    put(155, " 0"sv);
    put(257, "ustar\00000root"sv);
    put(297, "root"sv);
    out.insert(out.end(), header.begin(), header.end());
    constexpr std::array<Kind, 6> kBodies = {Kind::kAlphabet,   Kind::kText,  Kind::kText,
                                             Kind::kRepetitive, Kind::kNoise, Kind::kCopies};
    fill_kind(random, kBodies[random.below(6)], out, body);
    while (out.size() % 512 != 0) out.push_back(0);
  }
  out.resize(end);
}

inline void fill_repetitive(Random& random, Bytes& out, size_t size) {
  constexpr std::array<uint64_t, 6> kLimits = {1, 4, 40, 700, 33000, 70000};
  const uint64_t limit = kLimits[random.below(6)];
  const size_t period = 1 + random.below(limit);
  const uint64_t rarity = 1 + random.below(20000);
  const size_t start = out.size();
  for (const size_t end = start + size; out.size() < end;) {
    if (out.size() - start < period || random.below(rarity) == 0) {
      out.push_back(static_cast<uint8_t>(random.next()));
    } else {
      out.push_back(out[out.size() - period]);
    }
  }
}

inline void fill_noise(Random& random, Bytes& out, size_t size) {
  for (const size_t end = out.size() + size; out.size() < end;) {
    const uint64_t value = random.next();
    for (unsigned i = 0; i < 8 && out.size() < end; ++i) {
      out.push_back(static_cast<uint8_t>(value >> 8 * i));
    }
  }
}

inline void fill_copies(Random& random, Bytes& out, size_t size) {
  const size_t start = out.size();
  const uint64_t letters = 2 + random.below(255);
  const uint64_t literals = 1 + random.below(30);
  const uint64_t longest = 4 + random.below(600);
  for (const size_t end = start + size; out.size() < end;) {
    uint64_t run = random.below(literals);
    if (out.size() == start) ++run;
    for (; run > 0 && out.size() < end; --run) {
      out.push_back(static_cast<uint8_t>(random.below(letters)));
    }
    const uint64_t known = out.size() - start;
    const uint64_t shift = random.below(17);
    uint64_t distance = 1 + random.below(uint64_t{1} << shift);
    if (random.below(8) == 0) distance = 32500 + random.below(300);
    if (distance > known) distance = 1 + random.below(known);
    const uint64_t high = random.below(longest);
    uint64_t length = 3 + high * random.below(longest) / longest;
    for (; length > 0 && out.size() < end; --length) out.push_back(out[out.size() - distance]);
  }
}

inline void fill_switching(Random& random, Bytes& out, size_t size) {
  for (const size_t end = out.size() + size; out.size() < end;) {
    const uint64_t limit = 1 + random.below(100000);
    const size_t part = std::min<size_t>(1 + random.below(limit), end - out.size());
    const auto kind = static_cast<Kind>(random.below(kKinds - 1));
    fill_kind(random, kind, out, part);
  }
}

inline void fill_kind(Random& random, Kind kind, Bytes& out, size_t size) {
  switch (kind) {
    case Kind::kAlphabet:
      return fill_alphabet(random, out, size);
    case Kind::kText:
      return fill_text(random, out, size);
    case Kind::kTar:
      return fill_tar(random, out, size);
    case Kind::kRepetitive:
      return fill_repetitive(random, out, size);
    case Kind::kNoise:
      return fill_noise(random, out, size);
    case Kind::kCopies:
      return fill_copies(random, out, size);
    case Kind::kSwitching:
      return fill_switching(random, out, size);
  }
}

inline size_t input_size(Random& random, uint64_t id) {
  if (id % 2000 == 1999) return random.below((8u << 20) + 1);
  constexpr std::array<uint64_t, 10> kLimits = {300,  300,  2000,  2000,  8192,
                                                8192, 8192, 40000, 70000, 0};
  constexpr std::array<uint64_t, 4> kLargeLimits = {65536, 131072, 200000, 400000};
  uint64_t limit = kLimits[random.below(10)];
  if (limit == 0) limit = kLargeLimits[random.below(4)];
  return random.below(limit + 1);
}

inline constexpr uint64_t kSeedStep = 0x632be59bd9b4e019;

inline Bytes make_input(uint64_t id) {
  Random random{id * kSeedStep};
  const size_t size = input_size(random, id);
  Bytes out;
  out.reserve(size + 512);
  fill_kind(random, static_cast<Kind>(id % kKinds), out, size);
  return out;
}

/// A call made on the encoder: a write of so many bytes, or a flush.
struct Call {
  size_t bytes;
  bool flush;
};

/// Cuts an input into writes; one input in four is flushed in places.
inline std::vector<Call> make_calls(uint64_t id, size_t size) {
  std::vector<Call> calls;
  Random random{id * kSeedStep + 1};
  const uint64_t mode = id / kKinds % 4;
  const uint64_t limit = uint64_t{1} << (4 + random.below(14));
  for (size_t done = 0; done < size;) {
    size_t part = mode == 1 ? 32768 : size;
    if (mode >= 2) part = random.below(limit) + 1;
    part = std::min(part, size - done);
    calls.push_back({part, false});
    done += part;
    if (mode == 3 && random.below(6) == 0) {
      calls.push_back({0, true});
      if (random.below(8) == 0) calls.push_back({0, true});
    }
  }
  return calls;
}

}  // namespace bundle::codec::test
