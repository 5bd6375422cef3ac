#include "codec/deflate/zlib_deflate.h"

#include <gtest/gtest.h>

#include "deflate_golden.h"

namespace bundle::codec::test {
namespace {

class PigzGolden : public testing::TestWithParam<int> {};

TEST_P(PigzGolden, SameBytesAsTheRealProgram) {
  check_against_golden("pigz26", GetParam(), [](uint64_t id, const ByteSink& sink) {
    Bytes input = make_input(id);
    const size_t block = size_t{32 * 1024} << id % 3;  // as in regen/main.go
    PigzDeflate encoder(GetParam(), sink, block, false);
    size_t done = 0;
    for (const Call& call : make_calls(id, input.size())) {
      encoder.write(std::span(input).subspan(done, call.bytes));
      done += call.bytes;
    }
    encoder.finish();
    return input;
  });
}

INSTANTIATE_TEST_SUITE_P(Levels, PigzGolden, testing::Range(1, 10),
                         [](const testing::TestParamInfo<int>& level) {
                           return "Level" + std::to_string(level.param);
                         });

TEST(PigzDeflate, IndependentBlocksAreOneValidStream) {
  const Bytes input = make_input(69);
  Bytes out;
  PigzDeflate encoder(6, appending_to(out), 32 * 1024, true);
  encoder.write(input);
  encoder.finish();
  EXPECT_TRUE(inflates_to(out, input));
}

TEST(ZlibDeflate, ThisMachineHasTheKnownZlib) {
  EXPECT_EQ(zlib_sample_digest().text(), kKnownZlibSample) << zlib_build();
}

}  // namespace
}  // namespace bundle::codec::test
