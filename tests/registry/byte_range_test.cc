#include "registry/byte_range.h"

#include <gtest/gtest.h>

#include <string>

namespace bundle::registry {
namespace {

// "ignored", "416", or "first-last".
std::string outcome(std::string_view header, std::uint64_t size) {
  const auto result = parse_byte_range(header, size);
  if (std::holds_alternative<WholeBody>(result)) return "ignored";
  if (std::holds_alternative<NotSatisfiable>(result)) return "416";
  const ByteRange range = std::get<ByteRange>(result);
  return std::to_string(range.first) + "-" + std::to_string(range.last);
}

TEST(ByteRange, OneRange) {
  EXPECT_EQ(outcome("bytes=0-0", 1000), "0-0");
  EXPECT_EQ(outcome("bytes=0-999", 1000), "0-999");
  EXPECT_EQ(outcome("bytes=500-", 1000), "500-999");
  EXPECT_EQ(outcome("bytes=-500", 1000), "500-999");
  EXPECT_EQ(outcome("bytes=-5000", 1000), "0-999");
  EXPECT_EQ(outcome("bytes=10-5000", 1000), "10-999");
  EXPECT_EQ(outcome(" BYTES=1-2 ", 1000), "1-2");
}

TEST(ByteRange, NotSatisfiable) {
  EXPECT_EQ(outcome("bytes=1000-", 1000), "416");
  EXPECT_EQ(outcome("bytes=500-0", 1000), "416");
  EXPECT_EQ(outcome("bytes=-0", 1000), "416");
  EXPECT_EQ(outcome("bytes=0-", 0), "416");
  EXPECT_EQ(outcome("bytes=-1", 0), "416");
  EXPECT_EQ(outcome("bytes=99999999999999999999-", 1000), "416");
}

TEST(ByteRange, NumbersPast64BitsAreOnlyLarge) {
  EXPECT_EQ(outcome("bytes=1-99999999999999999999999", 1000), "1-999");
  EXPECT_EQ(outcome("bytes=-18446744073709551616", 1000), "0-999");
  EXPECT_EQ(outcome("bytes=18446744073709551615-18446744073709551615", 1000), "416");
}

TEST(ByteRange, AChunkSaysWhereItBelongs) {
  for (const char* header : {"0-1023", "bytes 0-1023", "bytes 0-1023/*", "0-1023/2048"}) {
    const auto range = parse_chunk_range(header);
    ASSERT_TRUE(range) << header;
    EXPECT_EQ(range->first, 0u);
    EXPECT_EQ(range->length(), 1024u);
  }
  for (const char* header : {"", "-", "5", "5-", "-5", "7-6", "a-b", "bytes=0-5", " 0-5", "0-5 ",
                             "0-18446744073709551615", "0-99999999999999999999", "1-2-3"}) {
    EXPECT_FALSE(parse_chunk_range(header)) << header;
  }
}

TEST(ByteRange, WhatIsNoRangeIsIgnored) {
  for (const char* header :
       {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=1-2,4-5", "bytes=1-2-3",
        "bytes=+1-2", "bytes=0x1-2", "bytes=1 -2", "items=0-1", "=0-1", "bytes=--1", "byte=0-1"}) {
    EXPECT_EQ(outcome(header, 1000), "ignored") << header;
  }
}

}  // namespace
}  // namespace bundle::registry
