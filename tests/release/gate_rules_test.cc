#include "release/gate_rules.h"

#include <gtest/gtest.h>

#include "release/manifest.h"
#include "release_samples.h"

namespace bundle::release {
namespace {

GateRules full_rules() {
  GateRules rules;
  rules.support_window = 3;
  rules.required_releases = {"1.3.4"};
  rules.compatibility = {{"1.4.x", {"1.31.x", ">=1.32.1 <1.33.0"}}, {"1.3.x", {"1.31.x"}}};
  rules.platforms = {"linux/amd64"};
  rules.disk_free = 20ULL << 30;
  rules.backup = true;
  rules.maintenance_window = true;
  rules.point_of_no_return = "1.4.0";
  return rules;
}

std::vector<std::string> problems(const std::string& json) {
  std::vector<std::string> found;
  read_gate_rules(codec::parse_json(json, "gates"), "1.4.0", "v1.31.6+k3s1",
                  [&](const std::string& pointer, const std::string& message) {
                    found.push_back(pointer + ": " + message);
                  });
  return found;
}

TEST(GateRules, PointOfNoReturnIsThisReleaseOrAnOlderOne) {
  EXPECT_TRUE(problems(R"({"pointOfNoReturn": "1.4.0"})").empty());
  EXPECT_TRUE(problems(R"({"pointOfNoReturn": "1.2.3"})").empty());
  EXPECT_EQ(problems(R"({"pointOfNoReturn": "1.4.1"})").size(), 1U);
  EXPECT_EQ(problems(R"({"pointOfNoReturn": "1.4.x"})").size(), 1U);
}

TEST(GateRules, TravelInTheManifest) {
  Manifest manifest = sample_manifest();
  manifest.gates = full_rules();
  manifest.minimum_reader = Manifest::kGatesReader;
  const Manifest read = parse_manifest(write_manifest(manifest), "manifest.json");
  EXPECT_EQ(read.gates, full_rules());
  EXPECT_EQ(read.minimum_reader, 2U);
  EXPECT_EQ(write_manifest(read), write_manifest(manifest));
}

// Bundles of earlier versions keep their bytes.
TEST(GateRules, LeaveNoTraceWhenThereAreNone) {
  EXPECT_EQ(write_manifest(sample_manifest()).find("gates"), std::string::npos);
  EXPECT_NE(write_manifest(sample_manifest()).find("\"minimumReader\":1"), std::string::npos);
}

TEST(GateRules, MatchTheMatrix) {
  const GateRules rules = full_rules();
  const auto runs = [&](const char* app, const char* k8s) {
    return rules.compatible(*SemVer::parse(app), *K3sVersion::parse(k8s));
  };
  EXPECT_TRUE(runs("1.4.9", "v1.31.6+k3s1"));
  EXPECT_TRUE(runs("1.4.0", "v1.32.9+k3s4"));
  EXPECT_FALSE(runs("1.4.0", "v1.32.0+k3s1"));
  EXPECT_FALSE(runs("1.3.0", "v1.32.9+k3s4"));
  EXPECT_FALSE(runs("1.5.0", "v1.31.6+k3s1"));
  EXPECT_TRUE(GateRules{}.compatible(*SemVer::parse("9.9.9"), *K3sVersion::parse("v1.0.0+k3s1")));
}

TEST(GateRules, AreCheckedBeyondTheSchema) {
  EXPECT_EQ(problems(R"({"diskFree": "20GiB"})"), std::vector<std::string>{});
  EXPECT_EQ(problems(R"({"diskFree": "99999999TiB"})"),
            std::vector<std::string>{"/diskFree: '99999999TiB' is too much"});
  EXPECT_EQ(
      problems(R"({"requiredReleases": ["1.3"]})"),
      std::vector<std::string>{"/requiredReleases/0: '1.3' is not a SemVer 2 version like 1.3.4"});
  EXPECT_EQ(problems(R"({"requiredReleases": ["1.3.4", "1.4.0"]})"),
            std::vector<std::string>{"/requiredReleases/1: 1.4.0 is not older than this release"});
  const auto pattern =
      problems(R"({"compatibility": [{"app": "1.4.x", "k8s": ["1.31.x", "^1"]}]})");
  ASSERT_EQ(pattern.size(), 1U);
  EXPECT_EQ(pattern[0].rfind("/compatibility/0/k8s/1: '^1' is no version", 0), 0U) << pattern[0];
  const auto own = problems(R"({"compatibility": [{"app": "1.4.x", "k8s": ["1.32.x"]}]})");
  ASSERT_EQ(own.size(), 1U);
  EXPECT_NE(own[0].find("run on its own Kubernetes (v1.31.6+k3s1)"), std::string::npos) << own[0];
}

TEST(GateRules, SizesAreInBytes) {
  const auto disk = [](const std::string& text) {
    return read_gate_rules(codec::parse_json(R"({"diskFree": ")" + text + "\"}", "gates"), "1.4.0",
                           "v1.31.6+k3s1", [](const auto&, const auto&) {})
        .disk_free;
  };
  EXPECT_EQ(disk("512MiB"), 512ULL << 20);
  EXPECT_EQ(disk("20GiB"), 20ULL << 30);
  EXPECT_EQ(disk("2TiB"), 2ULL << 40);
}

}  // namespace
}  // namespace bundle::release
