#include "codec/deflate/klauspost_deflate.h"

#include <gtest/gtest.h>

#include <string>

#include "deflate_golden.h"

namespace bundle::codec::test {
namespace {

template <class Encoder>
void encode_calls(Encoder& encoder, uint64_t id, const Bytes& input) {
  size_t done = 0;
  for (const Call& call : make_calls(id, input.size())) {
    if (call.flush) {
      encoder.flush();
    } else {
      encoder.write(std::span(input).subspan(done, call.bytes));
      done += call.bytes;
    }
  }
  encoder.finish();
}

class KlauspostGolden : public testing::TestWithParam<int> {};

TEST_P(KlauspostGolden, SameBytesAsTheRealEncoder) {
  check_against_golden("klauspost118", GetParam(), [](uint64_t id, const ByteSink& sink) {
    Bytes input = make_input(id);
    KlauspostDeflate encoder(GetParam(), sink);
    encode_calls(encoder, id, input);
    return input;
  });
}

TEST_P(KlauspostGolden, PgzipSameBytesAsTheRealEncoder) {
  check_against_golden("pgzip118", GetParam(), [](uint64_t id, const ByteSink& sink) {
    Bytes input = make_input(id);
    const size_t block = id % 5 == 4 ? PgzipDeflate::kDefaultBlockBytes  // as in regen/main.go
                                     : 16385 + id * 7919 % 100000;
    PgzipDeflate encoder(GetParam(), sink, block);
    encode_calls(encoder, id, input);
    return input;
  });
}

TEST_P(KlauspostGolden, ResetStartsAnew) {
  const Bytes first = make_input(22);
  const Bytes second = make_input(141);
  Bytes expected;
  KlauspostDeflate fresh(GetParam(), appending_to(expected), std::span(first).first(5000));
  fresh.write(second);
  fresh.finish();
  Bytes out;
  KlauspostDeflate used(GetParam(), appending_to(out));
  used.write(first);
  used.finish();
  out.clear();
  used.reset(std::span(first).first(5000));
  used.write(second);
  used.finish();
  EXPECT_TRUE(out == expected);
}

/// A tiny block makes the encoder forget the past and moves its places on; after enough of them
/// they are rebased. What comes then has to look as if nothing had been before.
TEST_P(KlauspostGolden, ManyTinyBlocksLeaveNoTrace) {
  const Bytes input = make_input(69);
  Bytes fresh;
  KlauspostDeflate one(GetParam(), appending_to(fresh));
  one.write(input);
  one.finish();
  Bytes out;
  KlauspostDeflate many(GetParam(), appending_to(out));
  for (uint32_t i = 0; i < 33000; ++i) {
    many.write(std::span(input).first(20));
    many.flush();
    out.clear();
    if (i % 10000 == 0 || i == 32760) {
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

INSTANTIATE_TEST_SUITE_P(Levels, KlauspostGolden, testing::Values(1, 5, 6),
                         [](const testing::TestParamInfo<int>& level) {
                           return "Level" + std::to_string(level.param);
                         });

TEST(KlauspostDeflate, EmptyInput) {
  const Bytes expected = {0x03, 0x00};
  const Bytes pgzip_expected = {0x00, 0x00, 0x00, 0xff, 0xff, 0x03, 0x00};
  for (const int level : {-1, 1, 5, 6}) {
    Bytes out;
    KlauspostDeflate encoder(level, appending_to(out));
    encoder.finish();
    EXPECT_EQ(out, expected) << level;
    out.clear();
    PgzipDeflate pgzip(level, appending_to(out));
    pgzip.finish();
    EXPECT_EQ(out, pgzip_expected) << level;
  }
}

}  // namespace
}  // namespace bundle::codec::test
