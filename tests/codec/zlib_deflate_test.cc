#include "codec/deflate/zlib_deflate.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <optional>

#include "codec/deflate/pigz_deflate.h"
#include "deflate_golden.h"

namespace bundle::codec::test {
namespace {

/// deflate() of the zlib that this machine has.
class RealZlib {
 public:
  RealZlib(int level, Bytes& out, int mem_level, int strategy) : out_(out) {
    EXPECT_EQ(deflateInit2(&stream_, level, Z_DEFLATED, -15, mem_level, strategy), Z_OK);
  }
  ~RealZlib() { deflateEnd(&stream_); }
  RealZlib(const RealZlib&) = delete;
  RealZlib& operator=(const RealZlib&) = delete;

  void run(std::span<const uint8_t> plain, int flush) {
    stream_.next_in = const_cast<Bytef*>(plain.data());  // zlib's API predates const
    stream_.avail_in = static_cast<uInt>(plain.size());
    std::array<uint8_t, 65536> buffer;
    do {
      stream_.next_out = buffer.data();
      stream_.avail_out = static_cast<uInt>(buffer.size());
      ASSERT_NE(deflate(&stream_, flush), Z_STREAM_ERROR);
      out_.insert(out_.end(), buffer.begin(), buffer.end() - stream_.avail_out);
    } while (stream_.avail_out == 0);
  }
  void set_dictionary(std::span<const uint8_t> dictionary) {
    deflateSetDictionary(&stream_, dictionary.data(), static_cast<uInt>(dictionary.size()));
  }

 private:
  z_stream stream_{};
  Bytes& out_;
};

struct Setting {
  int level;
  int mem_level;
  int strategy;
};

int real_flush(ZlibDeflate::Flush kind) {
  switch (kind) {
    case ZlibDeflate::Flush::block:
      return Z_BLOCK;
    case ZlibDeflate::Flush::partial:
      return Z_PARTIAL_FLUSH;
    case ZlibDeflate::Flush::sync:
      return Z_SYNC_FLUSH;
    case ZlibDeflate::Flush::full:
      return Z_FULL_FLUSH;
  }
  return Z_NO_FLUSH;
}

/// The same writes and flushes to both; the bytes are to be equal.
void check_against_zlib(const Setting& setting, uint64_t id,
                        std::optional<ZlibDeflate::Flush> flush = std::nullopt) {
  const Bytes input = make_input(id);
  Bytes expected;
  Bytes made;
  RealZlib real(setting.level, expected, setting.mem_level, setting.strategy);
  ZlibDeflate ours(setting.level, appending_to(made), setting.mem_level, setting.strategy);
  size_t done = 0;
  for (const Call& call : make_calls(id, input.size())) {
    const auto part = std::span(input).subspan(done, call.bytes);
    done += call.bytes;
    ours.write(part);
    real.run(part, Z_NO_FLUSH);
    if (!flush || !call.flush) continue;
    ours.flush(*flush);
    real.run({}, real_flush(*flush));
  }
  ours.finish();
  real.run({}, Z_FINISH);
  ASSERT_TRUE(made == expected) << "level " << setting.level << " memLevel " << setting.mem_level
                                << " strategy " << setting.strategy << " input " << id;
}

/// BUNDLE_FULL=1: `full` inputs, otherwise `quick`.
uint64_t input_count(uint64_t quick, uint64_t full) {
  const char* const wanted = std::getenv("BUNDLE_FULL");
  return wanted != nullptr && std::string(wanted) == "1" ? full : quick;
}

class ZlibLevels : public testing::TestWithParam<int> {};

TEST_P(ZlibLevels, SameBytesAsZlib) {
  const uint64_t count = input_count(120, 10'000);
  for (uint64_t id = 0; id < count; ++id) check_against_zlib({GetParam(), 8, 0}, id);
}

TEST_P(ZlibLevels, SameBytesAsZlibAtEachMemLevelAndStrategy) {
  const uint64_t count = input_count(6, 400);
  for (uint64_t id = 0; id < count; ++id) {
    for (int mem_level = 1; mem_level <= 9; ++mem_level) {
      for (int strategy = 0; strategy <= 4; ++strategy)
        check_against_zlib({GetParam(), mem_level, strategy}, id * 7 + 1);
    }
  }
}

TEST_P(ZlibLevels, SameBytesAsZlibWithFlushes) {
  const uint64_t count = input_count(24, 2'000);
  for (uint64_t id = 0; id < count; ++id) {
    for (const auto kind : {ZlibDeflate::Flush::block, ZlibDeflate::Flush::partial,
                            ZlibDeflate::Flush::sync, ZlibDeflate::Flush::full}) {
      for (const int strategy : {0, 2, 3}) check_against_zlib({GetParam(), 8, strategy}, id, kind);
    }
  }
}

TEST_P(ZlibLevels, SameBytesAsZlibWithADictionary) {
  const uint64_t count = input_count(24, 1'000);
  for (uint64_t id = 0; id < count; ++id) {
    const Bytes input = make_input(id);
    const auto dictionary = std::span(input).first(std::min<size_t>(input.size(), id * 3001));
    Bytes expected;
    Bytes made;
    RealZlib real(GetParam(), expected, 8, 0);
    if (!dictionary.empty()) real.set_dictionary(dictionary);
    real.run(input, Z_FINISH);
    ZlibDeflate ours(GetParam(), appending_to(made), 8, 0);
    ours.reset(dictionary);
    ours.write(input);
    ours.finish();
    ASSERT_TRUE(made == expected) << "level " << GetParam() << " input " << id;
  }
}

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

std::string level_name(const testing::TestParamInfo<int>& level) {
  return "Level" + std::to_string(level.param);
}
INSTANTIATE_TEST_SUITE_P(Levels, ZlibLevels, testing::Range(1, 10), level_name);
INSTANTIATE_TEST_SUITE_P(Levels, PigzGolden, testing::Range(1, 10), level_name);

TEST(PigzDeflate, IndependentBlocksAreOneValidStream) {
  const Bytes input = make_input(69);
  Bytes out;
  PigzDeflate encoder(6, appending_to(out), 32 * 1024, true);
  encoder.write(input);
  encoder.finish();
  EXPECT_TRUE(inflates_to(out, input));
}

}  // namespace
}  // namespace bundle::codec::test
