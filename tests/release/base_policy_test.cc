// How old a base image may be, and what is recorded when it is older.
#include "release/base_policy.h"

#include <gtest/gtest.h>

#include "release_samples.h"
#include "support/expect_error.h"

namespace bundle::release {
namespace {

using testing::expect_error;

constexpr UnixTime kDay = 86'400;
constexpr UnixTime kBuilt = 1'795'446'000;
constexpr BasePolicy kPolicy{kBuilt, 30, {}};

TEST(BasePolicy, AgeIsCountedToTheSecond) {
  EXPECT_FALSE(kPolicy.is_stale(kBuilt));
  EXPECT_FALSE(kPolicy.is_stale(kBuilt + 30 * kDay));
  EXPECT_TRUE(kPolicy.is_stale(kBuilt + 30 * kDay + 1));
  EXPECT_FALSE(kPolicy.is_stale(0));
}

TEST(BasePolicy, AReasonIsRecordedOnlyWhenItWasNeeded) {
  EXPECT_EQ(accept_base(kPolicy, kBuilt + kDay, "in a hurry", "release.yaml").stale_reason, "");
  const BasePolicy stale = accept_base(kPolicy, kBuilt + 31 * kDay, "in a hurry", "release.yaml");
  EXPECT_EQ(stale.stale_reason, "in a hurry");
  EXPECT_EQ(stale.built, kBuilt);
}

TEST(BasePolicy, RefusesStaleAndFutureBases) {
  const Error stale = expect_error(ErrorCode::gate_refused, [] {
    accept_base(kPolicy, kBuilt + 58 * kDay, "", "release.yaml");
  });
  EXPECT_NE(stale.message().find("58 days ago; the policy allows 30"), std::string::npos)
      << stale.message();
  EXPECT_NE(stale.hint().find("--stale-base"), std::string::npos);
  accept_base(kPolicy, kBuilt - kDay, "", "release.yaml");  // a clock that is a little behind
  expect_error(ErrorCode::spec_invalid,
               [] { accept_base(kPolicy, kBuilt - kDay - 1, "why not", "release.yaml"); });
}

TEST(BasePolicy, ReasonsAreOneLineOfText) {
  check_stale_reason("");
  check_stale_reason("a fix that cannot wait");
  for (const std::string& text :
       {std::string("   "), std::string("two\nlines"), std::string(kMaxStaleReasonBytes + 1, 'x'),
        std::string("\xff")}) {
    expect_error(ErrorCode::usage, [&] { check_stale_reason(text); });
  }
}

TEST(BasePolicy, TravelsInTheManifest) {
  Manifest manifest = sample_manifest();
  EXPECT_FALSE(parse_manifest(write_manifest(manifest), "m").base_policy);
  manifest.base_policy = BasePolicy{kBuilt, 30, "a fix that cannot wait"};
  EXPECT_EQ(parse_manifest(write_manifest(manifest), "m").base_policy, manifest.base_policy);
  manifest.base_policy->stale_reason.clear();
  EXPECT_EQ(parse_manifest(write_manifest(manifest), "m").base_policy, manifest.base_policy);
  // Readers of before know nothing of it and need not.
  EXPECT_EQ(manifest.minimum_reader, 1U);
}

TEST(BasePolicy, AManifestNamesARealDay) {
  Manifest manifest = sample_manifest();
  manifest.base_policy = kPolicy;
  std::string text = write_manifest(manifest);
  const std::string day = format_time(kBuilt);
  text.replace(text.find("\"built\":\"") + 9, day.size(), "2026-02-30T00:00:00Z");
  expect_error(ErrorCode::manifest_invalid, [&] { parse_manifest(text, "m"); });
}

}  // namespace
}  // namespace bundle::release
