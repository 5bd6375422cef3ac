#include "crypto/digest.h"

#include "crypto/test_support.h"

namespace bundle {
namespace {

// FIPS 180-4 examples.
constexpr std::string_view kAbc =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kEmpty =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(Digest, KnownValues) {
  EXPECT_EQ(sha256(as_bytes("abc")).text(), kAbc);
  EXPECT_EQ(sha256({}).text(), kEmpty);
}

TEST(Digest, StreamingEqualsOneShot) {
  const std::string text(100'000, 'x');
  for (const std::size_t step : {1U, 63U, 64U, 65U, 4096U}) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += step) {
      hash.write(as_bytes(std::string_view(text).substr(at, step)));
    }
    EXPECT_EQ(hash.finish(), sha256(as_bytes(text))) << step;
  }
}

TEST(Digest, OneSpellingOnly) {
  EXPECT_EQ(Digest::parse(kAbc).text(), kAbc);
  const std::string good(kAbc);
  std::string upper = good;
  upper[10] = 'A';
  for (const std::string& bad :
       {std::string(), good.substr(1), good + "0", good.substr(0, good.size() - 1), upper,
        "sha512:" + good.substr(7), good.substr(7), " " + good, good + "\n"}) {
    EXPECT_FALSE(Digest::is_valid(bad)) << bad;
    test::expect_error(ErrorCode::oci_invalid, [&] { Digest::parse(bad); });
  }
}

}  // namespace
}  // namespace bundle
