#include "release/version.h"

#include <gtest/gtest.h>

namespace bundle::release {
namespace {

SemVer semver(std::string_view text) {
  const auto version = SemVer::parse(text);
  EXPECT_TRUE(version) << text;
  return version.value_or(SemVer{});
}

TEST(SemVer, ReadsAndWritesEveryForm) {
  for (const std::string_view text :
       {"0.0.0", "1.4.0", "1.2.3-alpha", "1.2.3-alpha.1", "1.2.3-0.3.7", "1.2.3-x.7.z.92",
        "1.2.3-x-y-z.--", "1.2.3+20130313144700", "1.2.3-beta+exp.sha.5114f85",
        "1.2.3+21AF26D3---117B", "1.2.3+001", "999999999.0.0", "1.0.0-0A.is.legal", "1.0.0--"}) {
    EXPECT_EQ(semver(text).text(), text);
  }
}

TEST(SemVer, RefusesWhatTheGrammarDoesNotAllow) {
  for (const std::string_view text : {"",
                                      "1",
                                      "1.2",
                                      "1.2.3.4",
                                      "01.2.3",
                                      "1.02.3",
                                      "1.2.03",
                                      "v1.2.3",
                                      "1.2.3-",
                                      "1.2.3+",
                                      "1.2.3-01",
                                      "1.2.3-a..b",
                                      "1.2.3-.a",
                                      "1.2.3-a.",
                                      "1.2.3+a..b",
                                      "1.2.3-a_b",
                                      "1.2.3+a+b",
                                      " 1.2.3",
                                      "1.2.3 ",
                                      "1.2.-3",
                                      "-1.2.3",
                                      "1,2,3",
                                      "a.b.c",
                                      "1.2.x",
                                      "1..3",
                                      "1.2.3\n",
                                      "1000000000.0.0",
                                      "1.2.3-\xC3\xA9",
                                      "+1.2.3"}) {
    EXPECT_FALSE(SemVer::parse(text)) << text;
  }
  EXPECT_FALSE(SemVer::parse("1.2.3-" + std::string(200, 'a')));
}

// The order of semver.org section 11, each below the next.
TEST(SemVer, HasThePrecedenceOfTheSpecification) {
  const std::vector<std::string_view> ascending = {"0.9.9",
                                                   "1.0.0-0",
                                                   "1.0.0-2",
                                                   "1.0.0-10",
                                                   "1.0.0-99999999999999999999",
                                                   "1.0.0-100000000000000000000",
                                                   "1.0.0-alpha",
                                                   "1.0.0-alpha.1",
                                                   "1.0.0-alpha.beta",
                                                   "1.0.0-beta",
                                                   "1.0.0-beta.2",
                                                   "1.0.0-beta.11",
                                                   "1.0.0-rc.1",
                                                   "1.0.0",
                                                   "1.0.1",
                                                   "1.0.10",
                                                   "1.2.0",
                                                   "1.10.0",
                                                   "2.0.0-rc.1",
                                                   "2.0.0",
                                                   "10.0.0"};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      const int expected = i < j ? -1 : i > j ? 1 : 0;
      EXPECT_EQ(compare(semver(ascending[i]), semver(ascending[j])), expected)
          << ascending[i] << " " << ascending[j];
    }
  }
}

TEST(SemVer, IgnoresBuildMetadataInPrecedence) {
  EXPECT_EQ(compare(semver("1.0.0+a"), semver("1.0.0+b")), 0);
  EXPECT_EQ(compare(semver("1.0.0-rc.1+a"), semver("1.0.0-rc.1")), 0);
}

TEST(K3sVersion, ReadsItsOwnFormOnly) {
  const auto version = K3sVersion::parse("v1.31.6+k3s12");
  ASSERT_TRUE(version);
  EXPECT_EQ(version->kubernetes.minor, 31U);
  EXPECT_EQ(version->k3s, 12U);
  EXPECT_EQ(version->text(), "v1.31.6+k3s12");
  EXPECT_TRUE(K3sVersion::parse("v1.32.0-rc1+k3s1"));
  for (const std::string_view text :
       {"", "1.31.6+k3s1", "v1.31.6", "v1.31.6+k3s", "v1.31.6-k3s1", "v1.31.6+rke2r1", "v1.31+k3s1",
        "v1.31.6+k3s1.2", "v1.31.6+k3s01", "vv1.31.6+k3s1", "v1.31.6+K3s1"}) {
    EXPECT_FALSE(K3sVersion::parse(text)) << text;
  }
}

TEST(K3sVersion, ComparesTheK3sNumberThatSemVerIgnores) {
  const std::vector<std::string_view> ascending = {
      "v1.30.9+k3s2",  "v1.31.0-rc1+k3s1", "v1.31.0+k3s1", "v1.31.0+k3s2",
      "v1.31.0+k3s10", "v1.31.1+k3s1",     "v1.32.0+k3s1"};
  for (std::size_t i = 1; i < ascending.size(); ++i) {
    const auto low = K3sVersion::parse(ascending[i - 1]);
    const auto high = K3sVersion::parse(ascending[i]);
    ASSERT_TRUE(low && high);
    EXPECT_LT(compare(*low, *high), 0) << ascending[i];
    EXPECT_GT(compare(*high, *low), 0) << ascending[i];
    EXPECT_EQ(compare(*high, *high), 0);
  }
}

bool matches(std::string_view pattern, std::string_view version) {
  const auto parsed = VersionPattern::parse(pattern);
  EXPECT_TRUE(parsed) << pattern;
  return parsed && parsed->matches(semver(version));
}

TEST(VersionPattern, MatchesOneVersion) {
  EXPECT_TRUE(matches("1.3.2", "1.3.2"));
  EXPECT_TRUE(matches("1.3.2", "1.3.2+build5"));
  EXPECT_FALSE(matches("1.3.2", "1.3.3"));
  EXPECT_FALSE(matches("1.3.2", "1.3.2-rc.1"));
  EXPECT_TRUE(matches("1.3.2-rc.1", "1.3.2-rc.1"));
}

TEST(VersionPattern, MatchesWildcards) {
  EXPECT_TRUE(matches("1.3.x", "1.3.0"));
  EXPECT_TRUE(matches("1.3.x", "1.3.999"));
  EXPECT_FALSE(matches("1.3.x", "1.4.0"));
  EXPECT_FALSE(matches("1.3.x", "1.2.9"));
  EXPECT_FALSE(matches("1.3.x", "1.30.0"));
  EXPECT_FALSE(matches("1.3.x", "2.3.0"));
  EXPECT_TRUE(matches("1.x", "1.0.0"));
  EXPECT_TRUE(matches("1.x", "1.99.3"));
  EXPECT_FALSE(matches("1.x", "2.0.0"));
}

// A site on a prerelease is a test site: only a pattern that names it lets it upgrade.
TEST(VersionPattern, MatchesPrereleasesOnlyByName) {
  EXPECT_FALSE(matches("1.3.x", "1.3.5-rc.1"));
  EXPECT_FALSE(matches("1.3.x", "1.4.0-rc.1"));
  EXPECT_FALSE(matches(">=1.0.0", "1.3.5-rc.1"));
}

TEST(VersionPattern, MatchesRanges) {
  EXPECT_TRUE(matches(">=1.2.4 <1.4.0", "1.2.4"));
  EXPECT_TRUE(matches(">=1.2.4 <1.4.0", "1.3.9"));
  EXPECT_FALSE(matches(">=1.2.4 <1.4.0", "1.4.0"));
  EXPECT_FALSE(matches(">=1.2.4 <1.4.0", "1.2.3"));
  EXPECT_TRUE(matches(">1.2.4", "1.2.5"));
  EXPECT_FALSE(matches(">1.2.4", "1.2.4"));
  EXPECT_TRUE(matches("<=1.2.4", "1.2.4"));
  EXPECT_FALSE(matches("<=1.2.4", "1.2.5"));
  EXPECT_TRUE(matches("=1.2.4", "1.2.4"));
  EXPECT_FALSE(matches("=1.2.4", "1.2.5"));
}

TEST(VersionPattern, RefusesOtherForms) {
  for (const std::string_view text : {"",
                                      "x",
                                      "*",
                                      ".x",
                                      "1",
                                      "1.3",
                                      "1.3.x.x",
                                      "1.2.3.x",
                                      "x.3.1",
                                      "^1.3.0",
                                      "~1.3.0",
                                      ">=1.3",
                                      "1.3.*",
                                      ">= 1.3.0",
                                      ">=1.3.0  <2.0.0",
                                      ">=1.3.0,<2.0.0",
                                      ">=1.3.0 ",
                                      "01.x",
                                      "a.x",
                                      ">1.2.x",
                                      "1.3.0 || 1.4.0"}) {
    EXPECT_FALSE(VersionPattern::parse(text)) << text;
  }
}

TEST(ReleaseNumber, GrowsWithPrecedence) {
  const std::vector<std::string_view> ascending = {
      "0.0.1",         "0.9.0",           "1.3.9999",    "1.4.0-alpha",  "1.4.0-alpha.0",
      "1.4.0-alpha.1", "1.4.0-alpha.998", "1.4.0-beta",  "1.4.0-beta.1", "1.4.0-rc",
      "1.4.0-rc.1",    "1.4.0-rc.2",      "1.4.0-rc.10", "1.4.0",        "1.4.1-rc.1",
      "1.4.1",         "1.5.0",           "1.10.0",      "2.0.0-rc.1",   "2.0.0",
      "8999.9999.9999"};
  std::uint64_t last = 0;
  for (const std::string_view text : ascending) {
    const auto number = default_release_number(semver(text));
    ASSERT_TRUE(number) << text;
    EXPECT_GT(*number, last) << text;
    EXPECT_LE(*number, 9007199254740991U);
    last = *number;
  }
  EXPECT_EQ(default_release_number(semver("1.4.0")), 1000400009000U);
  EXPECT_EQ(default_release_number(semver("1.4.0-rc.1")), 1000400003002U);
}

TEST(ReleaseNumber, HasNoneForVersionsThatDoNotFit) {
  for (const std::string_view text :
       {"1.4.0-dev", "1.4.0-rc.1.2", "1.4.0-rc.x", "1.4.0-rc.999", "1.4.0+build", "9000.0.0",
        "1.10000.0", "1.0.10000", "1.4.0-1"}) {
    EXPECT_FALSE(default_release_number(semver(text))) << text;
  }
}

}  // namespace
}  // namespace bundle::release
