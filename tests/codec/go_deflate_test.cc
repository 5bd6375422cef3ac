#include "codec/deflate/go_deflate.h"

#include <gtest/gtest.h>

#include "deflate_golden.h"

namespace bundle::codec::test {
namespace {

class GoDeflateGolden : public testing::TestWithParam<int> {};

TEST_P(GoDeflateGolden, SameBytesAsTheRealEncoder) {
  const int level = GetParam();
  check_against_golden("go126", level, [&](uint64_t id, const ByteSink& sink) {
    const Bytes input = make_input(id);
    GoDeflate encoder(level, sink);
    size_t done = 0;
    for (const Call& call : make_calls(id, input.size())) {
      if (call.flush) {
        encoder.flush();
      } else {
        encoder.write(std::span(input).subspan(done, call.bytes));
        encoder.end_write();
        done += call.bytes;
      }
    }
    encoder.finish();
    return input;
  });
}

TEST_P(GoDeflateGolden, SplitOfTheInputMakesNoDifference) {
  for (const uint64_t id : {19, 22, 69, 102, 141, 152}) {
    const Bytes input = make_input(id);
    Bytes whole;
    Bytes split;
    GoDeflate one(GetParam(), appending_to(whole));
    one.write(input);
    one.finish();
    GoDeflate many(GetParam(), appending_to(split));
    Random random{id};
    for (size_t done = 0; done < input.size();) {
      const size_t part = std::min<size_t>(random.below(3000), input.size() - done);
      many.write(std::span(input).subspan(done, part));
      done += part;
    }
    many.finish();
    EXPECT_TRUE(whole == split) << id;
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, GoDeflateGolden, testing::Range(-2, 10),
                         [](const testing::TestParamInfo<int>& level) {
                           return "Level" + (level.param < 0
                                                 ? "Minus" + std::to_string(-level.param)
                                                 : std::to_string(level.param));
                         });

TEST(GoDeflate, EmptyInput) {
  const Bytes expected = {0x01, 0x00, 0x00, 0xff, 0xff};
  for (int level = -2; level <= 9; ++level) {
    Bytes out;
    GoDeflate encoder(level, appending_to(out));
    encoder.write({});
    encoder.finish();
    EXPECT_EQ(out, expected) << level;
  }
}

TEST(GoDeflate, FlushWithoutDataWritesMarkerOnly) {
  const Bytes expected = {0x00, 0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff};
  for (int level = -2; level <= 9; ++level) {
    Bytes out;
    GoDeflate encoder(level, appending_to(out));
    encoder.flush();
    EXPECT_EQ(out.size(), 5u) << level;
    encoder.finish();
    EXPECT_EQ(out, expected) << level;
  }
}

/// A tiny block makes level 1 forget the past and moves its places on; after enough of them they
/// are rebased. What comes then has to look as if nothing had been before.
TEST(GoDeflate, ManyTinyBlocksLeaveNoTrace) {
  const Bytes input = make_input(69);
  Bytes fresh;
  GoDeflate one(1, appending_to(fresh));
  one.write(input);
  one.finish();
  Bytes out;
  GoDeflate many(1, appending_to(out));
  for (uint32_t i = 0; i < 66000; ++i) {
    many.write(std::span(input).first(20));
    many.flush();
    out.clear();
    if (i % 20000 == 0 || i == 65500) {
      many.write(std::span(input).first(20000));
      many.flush();
      many.write(std::span(input).first(20));
      many.flush();
      out.clear();
    }
  }
  many.write(input);
  many.finish();
  EXPECT_TRUE(out == fresh);
}

}  // namespace
}  // namespace bundle::codec::test
