#include "codec/x86_filter.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>

#include "codec/zstd.h"

namespace bundle::codec {
namespace {

Bytes this_program() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Bytes round_trip(Bytes bytes) {
  x86_filter_encode(bytes);
  x86_filter_decode(bytes);
  return bytes;
}

std::size_t packed_size(ByteView bytes) {
  ZstdParams params;
  params.level = 12;
  return ZstdCompressor(params).compress(bytes).size();
}

TEST(X86Filter, ProgramsGetSmallerAndComeBack) {
  const Bytes program = this_program();
  Bytes filtered = program;
  const std::size_t covered = x86_filter_encode(filtered);
#if defined(__x86_64__)
  EXPECT_GT(covered, 0u);
  EXPECT_NE(filtered, program);
  EXPECT_LT(packed_size(filtered), packed_size(program));
#endif
  x86_filter_decode(filtered);
  EXPECT_EQ(filtered, program);
}

TEST(X86Filter, WhereverProgramsLieAndEndTooEarly) {
  const Bytes program = this_program();
  Bytes bytes(1000, 'x');
  for (const std::size_t size : {program.size() / 2, program.size(), std::size_t{200}}) {
    bytes.insert(bytes.end(), program.begin(), program.begin() + static_cast<std::ptrdiff_t>(size));
  }
  EXPECT_EQ(round_trip(bytes), bytes);
}

// Any bytes are valid: headers and code with bytes changed at random.
TEST(X86Filter, AnyBytesComeBack) {
  const Bytes program = this_program();
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Bytes bytes(program.begin(),
                program.begin() + std::min<std::ptrdiff_t>(std::ssize(program), 64 << 10));
    for (int change = 0; change < 40; ++change) {
      bytes[random() % (change % 2 == 0 ? 800 : bytes.size())] =
          static_cast<std::uint8_t>(random());
    }
    for (int call = 0; call < 200; ++call) bytes[random() % bytes.size()] = 0xE8;
    ASSERT_EQ(round_trip(bytes), bytes) << round;
  }
}

TEST(X86Filter, OtherBytesStay) {
  Bytes text(10'000, 0xE8);
  const Bytes before = text;
  EXPECT_EQ(x86_filter_encode(text), 0u);
  EXPECT_EQ(text, before);
  Bytes none;
  EXPECT_EQ(x86_filter_encode(none), 0u);
}

}  // namespace
}  // namespace bundle::codec
