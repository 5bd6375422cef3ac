#include "oci/reference.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace bundle::oci {
namespace {

using bundle::testing::expect_error;

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(ImageName, SplitsCompleteNames) {
  const ImageName name = ImageName::parse("registry.example.com:5000/app/server:1.4.0@" + kDigest);
  EXPECT_EQ(name.registry, "registry.example.com:5000");
  EXPECT_EQ(name.repository, "app/server");
  EXPECT_EQ(name.tag, "1.4.0");
  EXPECT_EQ(name.digest->text(), kDigest);
  for (const std::string& text : std::vector<std::string>{
           "docker.io/library/redis:7.2", "localhost/a", "[::1]:5000/a:T_1.x-y",
           "localhost:5000/a__b/c---d.e_f", "registry.example.com/a@" + kDigest}) {
    EXPECT_EQ(ImageName::parse(text).text(), text);
  }
}

TEST(ImageName, ReadsWhatPeopleType) {
  const auto full = [](const std::string& text) { return ImageName::parse_short(text).text(); };
  EXPECT_EQ(full("redis"), "docker.io/library/redis:latest");
  EXPECT_EQ(full("redis:7.2"), "docker.io/library/redis:7.2");
  EXPECT_EQ(full("redis@" + kDigest), "docker.io/library/redis@" + kDigest);
  EXPECT_EQ(full("bitnami/redis"), "docker.io/bitnami/redis:latest");
  EXPECT_EQ(full("docker.io/redis:1"), "docker.io/library/redis:1");
  EXPECT_EQ(full("index.docker.io/redis:1"), "docker.io/library/redis:1");
  EXPECT_EQ(full("registry.example.com/redis"), "registry.example.com/redis:latest");
  EXPECT_EQ(full("localhost:5000/x"), "localhost:5000/x:latest");
}

TEST(ImageName, RefusesOthers) {
  const std::vector<std::string> bad{"",
                                     "redis",
                                     "app/server:1",
                                     "registry.example.com/",
                                     "registry.example.com/App:1",
                                     "Registry.example.com/app",
                                     "registry.example.com//app",
                                     "registry.example.com/app:",
                                     "registry.example.com/app:-x",
                                     "registry.example.com/app:a+b",
                                     "registry.example.com/a..b",
                                     "registry.example.com/a___b",
                                     "registry.example.com/a._b",
                                     "registry.example.com/_a",
                                     "registry.example.com/a-",
                                     "registry.example.com/../a",
                                     "registry.example.com/a b",
                                     "registry.example.com/\xD0\xB0pp:1",  // Cyrillic a
                                     "r\xC3\xA9gistry.example.com/app",
                                     "registry.example.com:0/a",
                                     "registry.example.com:x/a",
                                     "registry.example.com:123456/a",
                                     "-a.example.com/b",
                                     "a-.example.com/b",
                                     "a..com/b",
                                     "[::1/a",
                                     "[zz]:1/a",
                                     "registry.example.com/app@sha256:abc",
                                     "registry.example.com/app@" + kDigest + "@" + kDigest,
                                     "registry.example.com/app@sha512:" + std::string(128, 'a'),
                                     "registry.example.com/app:" + std::string(kMaxTag + 1, 't'),
                                     "registry.example.com/" + std::string(kMaxImageName, 'r')};
  for (const std::string& text : bad) {
    SCOPED_TRACE(text);
    expect_error(ErrorCode::usage, [&] { ImageName::parse(text); });
  }
}

TEST(DigestTag, NamesSignaturesOfADigest) {
  const Digest digest = Digest::parse(kDigest);
  const std::string tag = "sha256-" + std::string(64, 'a');
  EXPECT_EQ(digest_tag(digest), tag);
  EXPECT_EQ(digest_tag(digest, ".sig"), tag + ".sig");
  for (const char* suffix : {"", ".sig", ".att", ".sbom"}) {
    EXPECT_EQ(parse_digest_tag(tag + suffix), digest);
  }
  for (const std::string& text :
       std::vector<std::string>{"sha256-", tag + ".other", tag + "a", "x" + tag,
                                "sha256-" + std::string(63, 'a') + ".sig"}) {
    EXPECT_FALSE(parse_digest_tag(text)) << text;
  }
}

}  // namespace
}  // namespace bundle::oci
