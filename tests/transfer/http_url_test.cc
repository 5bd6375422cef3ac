#include "transfer/http_url.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace bundle::transfer {
namespace {

using testing::expect_error;

TEST(HttpUrl, TakesApartAndPutsTogether) {
  const Url url = Url::parse("HTTPS://Registry.Example.COM:5000/v2/a/b?x=1&y=%2F#frag", "t");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "registry.example.com");
  EXPECT_EQ(url.port, 5000);
  EXPECT_EQ(url.target, "/v2/a/b?x=1&y=%2F");
  EXPECT_EQ(url.origin(), "https://registry.example.com:5000");
  EXPECT_EQ(url.text(), "https://registry.example.com:5000/v2/a/b?x=1&y=%2F");
  EXPECT_EQ(url.printable(), "https://registry.example.com:5000/v2/a/b");
  EXPECT_EQ(url.path(), "/v2/a/b");
}

TEST(HttpUrl, DefaultPortsAndPath) {
  EXPECT_EQ(Url::parse("https://h", "t").text(), "https://h/");
  EXPECT_EQ(Url::parse("https://h:443/x", "t").text(), "https://h/x");
  EXPECT_EQ(Url::parse("http://h", "t").port, 80);
  EXPECT_EQ(Url::parse("http://h:443/", "t").text(), "http://h:443/");
  EXPECT_EQ(Url::parse("https://[::1]:5000/v2/", "t").text(), "https://[::1]:5000/v2/");
}

class BadUrl : public ::testing::TestWithParam<std::string> {};

TEST_P(BadUrl, IsRefused) {
  const Error error = expect_error(ErrorCode::usage, [] { Url::parse(GetParam(), "the thing"); });
  EXPECT_NE(error.message().find("the thing"), std::string::npos);
  EXPECT_EQ(error.message().find("secret"), std::string::npos) << "a password is shown";
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BadUrl,
    ::testing::Values("", "h", "/path", "ftp://h/", "file:///etc/passwd", "gopher://h/", "https://",
                      "https:///x", "https://user:secret@h/", "https://user@h/", "https://h:0/",
                      "https://h:70000/", "https://h:x/", "https://h/a\r\nX: 1", "https://h/\x01",
                      "https://h/\xC3\xA9", "https://h/" + std::string(20000, 'a'),
                      "ftp.example.com/x"));

TEST(HttpUrl, ResolvesReferences) {
  const Url base = Url::parse("https://h.example.com/v2/a/blobs/x?q=1", "t");
  EXPECT_EQ(base.resolve("/other?z=2", "t").text(), "https://h.example.com/other?z=2");
  EXPECT_EQ(base.resolve("", "t").text(), base.text());
  EXPECT_EQ(base.resolve("y", "t").text(), "https://h.example.com/v2/a/blobs/y");
  EXPECT_EQ(base.resolve("//cdn.example.com/z", "t").text(), "https://cdn.example.com/z");
  EXPECT_EQ(base.resolve("http://h/", "t").scheme, "http");
  expect_error(ErrorCode::usage, [&] { base.resolve("file:///etc/passwd", "t"); });
  expect_error(ErrorCode::usage, [&] { base.resolve("https://u:p@h/", "t"); });
}

TEST(HttpUrl, PercentEncodes) {
  EXPECT_EQ(percent_encode("a-b_c.d~e/f:g h+i"), "a-b_c.d~e%2Ff%3Ag%20h%2Bi");
  EXPECT_EQ(percent_encode("\xFF"), "%FF");
}

}  // namespace
}  // namespace bundle::transfer
