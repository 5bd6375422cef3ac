#include "transfer/http_retry.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "transfer/http_download.h"
#include "transfer/http_error.h"

namespace bundle::transfer {
namespace {

using std::chrono::milliseconds;

constexpr UnixTime kNow = 1'763'913'600;  // Sun, 23 Nov 2025 16:00:00 GMT

TEST(HttpRetry, RetryAfter) {
  EXPECT_EQ(parse_retry_after("0", kNow), milliseconds(0));
  EXPECT_EQ(parse_retry_after("120", kNow), milliseconds(120'000));
  EXPECT_EQ(parse_retry_after("Sun, 23 Nov 2025 16:00:30 GMT", kNow), milliseconds(30'000));
  EXPECT_EQ(parse_retry_after("Sun, 23 Nov 2025 15:00:00 GMT", kNow), milliseconds(0));
  EXPECT_GT(parse_retry_after("99999999999999999999999", kNow), milliseconds(86'400'000));
  for (const char* bad : {"", "soon", "-1", "1.5", "0x10", "1 2 3 4 5"}) {
    EXPECT_FALSE(parse_retry_after(bad, kNow)) << bad;
  }
}

TEST(HttpRetry, BackoffDoublesUpToTheLimit) {
  const milliseconds base{100};
  const milliseconds max{1000};
  EXPECT_EQ(backoff_delay(1, base, max, 0.0), milliseconds(50));
  EXPECT_EQ(backoff_delay(1, base, max, 0.999999), milliseconds(100));
  EXPECT_EQ(backoff_delay(3, base, max, 0.999999), milliseconds(400));
  EXPECT_EQ(backoff_delay(9, base, max, 0.999999), max);
  EXPECT_EQ(backoff_delay(1'000'000, base, max, 0.0), max / 2);
}

TEST(HttpRetry, SleepCanBeCancelled) {
  Cancel cancel;
  cancel.request();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(testing::error_of([&] { sleep_or_cancel(milliseconds(60'000), &cancel); })->code(),
            ErrorCode::cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(5'000));
}

TEST(HttpDownload, ContentRange) {
  const auto range = parse_content_range("bytes 5-9/10");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 5U);
  EXPECT_EQ(range->last, 9U);
  EXPECT_EQ(range->total, 10U);
  EXPECT_FALSE(parse_content_range("bytes 0-0/*")->total);
  for (const char* bad :
       {"", "bytes", "bytes 5-9", "bytes 9-5/10", "bytes 5-9/9", "bytes 5-9/10x", "bytes */10",
        "Bytes 5-9/10", "5-9/10", "bytes -9/10", "bytes 5-/10", "bytes 5-9/",
        "bytes 99999999999999999999-99999999999999999999/*", "bytes 5 -9/10"}) {
    EXPECT_FALSE(parse_content_range(bad)) << bad;
  }
}

TEST(HttpError, ServerTextIsMadePrintable) {
  EXPECT_EQ(printable_server_text("a\x1b[31mb\r\n\xC3\xA9"), "a?[31mb????");
  EXPECT_EQ(printable_server_text(std::string(1000, 'x')).size(), 303U);
}

TEST(HttpError, FindsTheMessageInTheBody) {
  EXPECT_EQ(server_error_message(
                R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such","detail":{"a":1}}]})"),
            "MANIFEST_UNKNOWN: no such");
  EXPECT_EQ(server_error_message(R"({"errors":[{"code":"DENIED"}]})"), "DENIED");
  EXPECT_EQ(server_error_message(R"({"details":"incorrect username or password"})"),
            "incorrect username or password");
  EXPECT_EQ(server_error_message(R"({"error":"invalid_grant","error_description":"old"})"), "old");
  for (const char* none : {"", "<html>", "[]", "{}", R"({"errors":[]})", R"({"errors":[1]})",
                           R"({"errors":{"code":"X"}})", R"({"message":5})", "[[[[[[[[[[[[[[[[["}) {
    EXPECT_EQ(server_error_message(none), "") << none;
  }
}

}  // namespace
}  // namespace bundle::transfer
