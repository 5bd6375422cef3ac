#include "codec/difference.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "bundle/error.h"
#include "codec/zstd.h"

namespace bundle::codec {
namespace {

Bytes round_trip(ByteView old, ByteView plain) {
  Bytes result(plain.size());
  apply_difference(old, make_difference(old, plain), result, "test");
  return result;
}

// Code of functions of random sizes that call each other: what lies behind an insertion moves, and
// every call across it changes.
struct Program {
  std::vector<Bytes> functions;

  explicit Program(std::uint32_t seed) : random(seed) {
    for (int i = 0; i < 3000; ++i) functions.push_back(function());
  }
  Bytes function() {
    Bytes code(40 + random() % 200);
    for (std::uint8_t& byte : code) byte = static_cast<std::uint8_t>(random());
    return code;
  }
  Bytes link() const {
    std::vector<std::size_t> starts;
    std::size_t size = 0;
    for (const Bytes& code : functions) {
      starts.push_back(size);
      size += code.size();
    }
    Bytes image;
    for (std::size_t i = 0; i < functions.size(); ++i) {
      Bytes code = functions[i];
      for (std::size_t at = 8; at + 30 < code.size(); at += 30) {
        const std::size_t target = (code[at + 5] * 256U + code[at + 6]) % starts.size();
        code[at] = 0xE8;
        store_le(code.data() + at + 1,
                 static_cast<std::uint32_t>(starts[target] - starts[i] - at - 5));
      }
      image.insert(image.end(), code.begin(), code.end());
    }
    return image;
  }
  std::mt19937 random;
};

std::size_t packed_size(ByteView bytes, ByteView prefix) {
  ZstdParams params;
  params.level = 19;
  params.long_matching = true;
  return ZstdCompressor(params).compress(bytes, prefix).size();
}

TEST(Difference, AProgramThatWasLinkedAgain) {
  Program program(1);
  const Bytes old = program.link();
  // 400 places apart at least, so that the alignment has to be found again behind each.
  for (const std::size_t place : {200U, 700U, 1500U, 2200U}) {
    program.functions[place].insert(program.functions[place].begin() + 7, {1, 2, 3, 4, 5, 6});
  }
  const Bytes plain = program.link();
  EXPECT_EQ(round_trip(old, plain), plain);
  EXPECT_LT(packed_size(make_difference(old, plain), old), packed_size(plain, old) * 8 / 10);
}

TEST(Difference, AnythingComesBack) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    Bytes old(random() % 5000);
    for (std::uint8_t& byte : old) byte = static_cast<std::uint8_t>(random() % (round % 7 + 2));
    Bytes plain = old;
    for (int change = 0; change < 10 && !plain.empty(); ++change) {
      const auto place = plain.begin() + static_cast<std::ptrdiff_t>(random() % plain.size());
      if (change % 3 == 0)
        plain.erase(place, place + std::min<std::ptrdiff_t>(30, plain.end() - place));
      else if (change % 3 == 1)
        plain.insert(place, random() % 100, static_cast<std::uint8_t>(random()));
      else
        *place = static_cast<std::uint8_t>(random());
    }
    ASSERT_EQ(round_trip(old, plain), plain) << round;
    ASSERT_EQ(round_trip(plain, old), old) << round;
  }
  EXPECT_EQ(round_trip({}, {}), Bytes());
}

TEST(Difference, RefusesWhatIsNone) {
  const Bytes old(1000, 1);
  const auto refused = [&](const Bytes& difference, std::size_t size) {
    Bytes plain(size);
    try {
      apply_difference(old, difference, plain, "test");
    } catch (const Error& error) {
      return error.code() == ErrorCode::pack_corrupt;
    }
    return false;
  };
  // table size, subtracted bytes; 0 fresh, 10 from place 0 of the old; 10 bytes.
  Bytes good = {3, 0, 0, 0, 10, 0, 0, 0, 0, 10, 0};
  good.resize(good.size() + 10);
  EXPECT_FALSE(refused(good, 10));
  EXPECT_TRUE(refused(good, 9));
  EXPECT_TRUE(refused(good, 11));
  EXPECT_TRUE(refused({}, 0));
  EXPECT_TRUE(refused(Bytes(good.begin(), good.end() - 1), 10));
  for (const auto& [place, value] : std::vector<std::pair<std::size_t, std::uint8_t>>{
           {0, 200}, {0, 2}, {4, 9}, {4, 255}, {8, 1}, {9, 11}, {10, 1}, {10, 0x80}}) {
    Bytes bad = good;
    bad[place] = value;
    EXPECT_TRUE(refused(bad, 10)) << place << " " << int{value};
  }
}

}  // namespace
}  // namespace bundle::codec
