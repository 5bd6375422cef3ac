#include "transfer/registry_challenge.h"

#include <gtest/gtest.h>

namespace bundle::transfer {
namespace {

TEST(RegistryChallenge, Bearer) {
  const auto list = parse_auth_challenges(
      R"(Bearer realm="https://auth.example.com/token",service="registry.example.com",)"
      R"(scope="repository:a/b:pull,push repository:c:pull",error="invalid_token")");
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].scheme, "bearer");
  EXPECT_EQ(list[0].parameters.at("realm"), "https://auth.example.com/token");
  EXPECT_EQ(list[0].parameters.at("service"), "registry.example.com");
  EXPECT_EQ(list[0].parameters.at("scope"), "repository:a/b:pull,push repository:c:pull");
}

TEST(RegistryChallenge, SpacesCaseEscapesAndBareValues) {
  const auto list =
      parse_auth_challenges(" ,BASIC  Realm = \"a \\\"b\\\" c\" , charset=UTF-8, x=a/b=");
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].scheme, "basic");
  EXPECT_EQ(list[0].parameters.at("realm"), "a \"b\" c");
  EXPECT_EQ(list[0].parameters.at("charset"), "UTF-8");
  EXPECT_EQ(list[0].parameters.at("x"), "a/b=");
}

TEST(RegistryChallenge, SeveralInOneHeader) {
  const auto list = parse_auth_challenges(
      R"(Negotiate, Negotiate YWJj==, Basic realm="x, Bearer y", Bearer realm="z",service=s)");
  ASSERT_EQ(list.size(), 4U);
  EXPECT_EQ(list[0].scheme, "negotiate");
  EXPECT_EQ(list[1].scheme, "negotiate");
  EXPECT_EQ(list[2].parameters.at("realm"), "x, Bearer y");
  EXPECT_EQ(list[3].scheme, "bearer");
  EXPECT_EQ(list[3].parameters.at("service"), "s");
}

TEST(RegistryChallenge, MalformedRestEndsTheList) {
  EXPECT_TRUE(parse_auth_challenges("").empty());
  EXPECT_TRUE(parse_auth_challenges(" , ,").empty());
  EXPECT_TRUE(parse_auth_challenges("=\"x\"").empty());
  EXPECT_TRUE(parse_auth_challenges("\"Bearer\" realm=x").empty());
  // A realm without its end is no realm.
  EXPECT_TRUE(parse_auth_challenges("Bearer realm=\"x").at(0).parameters.empty());
  EXPECT_TRUE(parse_auth_challenges("Bearer realm=\"x\\").at(0).parameters.empty());
  EXPECT_TRUE(parse_auth_challenges("Bearer realm=").at(0).parameters.empty());
  const auto junk = parse_auth_challenges("Bearer realm=\"x\" junk, Basic realm=y");
  ASSERT_EQ(junk.size(), 1U);
  EXPECT_EQ(junk[0].parameters.at("realm"), "x");
  const auto twice = parse_auth_challenges("Bearer realm=a, realm=b, service=c");
  EXPECT_EQ(twice.at(0).parameters.count("service"), 0U);
}

TEST(RegistryChallenge, Limits) {
  EXPECT_TRUE(
      parse_auth_challenges("Bearer realm=" + std::string(kMaxChallengeBytes, 'x')).empty());
  std::string many;
  for (int i = 0; i < 100; ++i) many += "Basic realm=x, ";
  EXPECT_EQ(parse_auth_challenges(many).size(), kMaxChallenges);
  std::string wide = "Bearer ";
  for (int i = 0; i < 100; ++i) wide += "p" + std::to_string(i) + "=x,";
  EXPECT_EQ(parse_auth_challenges(wide).at(0).parameters.size(), kMaxChallengeParameters);
}

}  // namespace
}  // namespace bundle::transfer
