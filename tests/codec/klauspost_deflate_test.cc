#include "codec/deflate/klauspost_deflate.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

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

struct Setting {
  const char* golden;  // the version in the names of the golden file
  KlauspostVersion version;
  int level;
};

std::string setting_name(const testing::TestParamInfo<Setting>& info) {
  return "Version" + std::string(info.param.golden) + "Level" + std::to_string(info.param.level);
}

std::vector<Setting> every_level(
    std::initializer_list<std::pair<const char*, KlauspostVersion>> all) {
  std::vector<Setting> settings;
  for (const auto& [golden, version] : all) {
    for (int level = 1; level <= 9; ++level) settings.push_back({golden, version, level});
  }
  return settings;
}

class KlauspostGolden : public testing::TestWithParam<Setting> {};

TEST_P(KlauspostGolden, SameBytesAsTheRealEncoder) {
  const auto& [golden, version, level] = GetParam();
  check_against_golden(std::string("klauspost") + golden, level,
                       [&](uint64_t id, const ByteSink& sink) {
                         Bytes input = make_input(id);
                         KlauspostDeflate encoder(level, sink, version);
                         encode_calls(encoder, id, input);
                         return input;
                       });
}

class PgzipGolden : public testing::TestWithParam<Setting> {};

TEST_P(PgzipGolden, SameBytesAsTheRealEncoder) {
  const auto& [golden, version, level] = GetParam();
  check_against_golden(std::string("pgzip") + golden, level,
                       [&](uint64_t id, const ByteSink& sink) {
                         Bytes input = make_input(id);
                         const size_t block = id % 5 == 4  // as in regen/main.go
                                                  ? PgzipDeflate::kDefaultBlockBytes
                                                  : 16385 + id * 7919 % 100000;
                         PgzipDeflate encoder(level, sink, block, version);
                         encode_calls(encoder, id, input);
                         return input;
                       });
}

// What makes a version different is at few levels only (klauspost_deflate.h).
const std::vector<Setting> kNewAtLevel4 = {{"117", KlauspostVersion::v1_15, 4}};
const std::vector<Setting> kNewWithDictionary = {{"120", KlauspostVersion::v1_20, 7},
                                                 {"120", KlauspostVersion::v1_20, 8},
                                                 {"120", KlauspostVersion::v1_20, 9}};
const std::vector<Setting> kNew =
    every_level({{"118", KlauspostVersion::v1_18}, {"119", KlauspostVersion::v1_19}});

INSTANTIATE_TEST_SUITE_P(Levels, KlauspostGolden, testing::ValuesIn(kNew), setting_name);
INSTANTIATE_TEST_SUITE_P(Level4, KlauspostGolden, testing::ValuesIn(kNewAtLevel4), setting_name);
INSTANTIATE_TEST_SUITE_P(Levels, PgzipGolden, testing::ValuesIn(kNew), setting_name);
INSTANTIATE_TEST_SUITE_P(Level4, PgzipGolden, testing::ValuesIn(kNewAtLevel4), setting_name);
INSTANTIATE_TEST_SUITE_P(Dictionary, PgzipGolden, testing::ValuesIn(kNewWithDictionary),
                         setting_name);

class KlauspostState : public testing::TestWithParam<int> {};

TEST_P(KlauspostState, ResetStartsAnew) {
  const Bytes first = make_input(22);
  const Bytes second = make_input(141);
  Bytes expected;
  KlauspostDeflate fresh(GetParam(), appending_to(expected), KlauspostVersion::v1_18,
                         std::span(first).first(5000));
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

class KlauspostFast : public testing::TestWithParam<int> {};

/// A tiny block makes the encoder forget the past and moves its places on; after enough of them
/// they are rebased. What comes then has to look as if nothing had been before.
TEST_P(KlauspostFast, ManyTinyBlocksLeaveNoTrace) {
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

INSTANTIATE_TEST_SUITE_P(Levels, KlauspostFast, testing::Range(1, 7),
                         [](const testing::TestParamInfo<int>& level) {
                           return "Level" + std::to_string(level.param);
                         });
INSTANTIATE_TEST_SUITE_P(Levels, KlauspostState, testing::Range(1, 10),
                         [](const testing::TestParamInfo<int>& level) {
                           return "Level" + std::to_string(level.param);
                         });

TEST(KlauspostDeflate, EmptyInput) {
  const Bytes expected = {0x03, 0x00};
  const Bytes pgzip_expected = {0x00, 0x00, 0x00, 0xff, 0xff, 0x03, 0x00};
  for (int level = -1; level <= 9; ++level) {
    if (!KlauspostDeflate::is_valid_level(level)) continue;
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
