#include "release/gate.h"

#include <gtest/gtest.h>

#include "release/version.h"
#include "release_samples.h"

namespace bundle::release {
namespace {

Manifest release(const std::string& version, std::vector<std::string> upgrade_from,
                 const std::string& k3s = "v1.31.6+k3s1") {
  Manifest manifest = sample_manifest();
  manifest.version = version;
  manifest.release_number = *default_release_number(*SemVer::parse(version));
  manifest.upgrade_from = std::move(upgrade_from);
  manifest.k8s_version = k3s;
  return manifest;
}

void expect_allowed(const Manifest* active, const Manifest& candidate,
                    GateDirection direction = GateDirection::upgrade) {
  const GateDecision decision = may_activate(active, candidate, direction);
  EXPECT_TRUE(decision.allowed) << decision.reason;
  EXPECT_FALSE(decision.reason.empty());
  EXPECT_TRUE(decision.next_step.empty());
}

void expect_refused(const Manifest* active, const Manifest& candidate, std::string_view reason,
                    GateDirection direction = GateDirection::upgrade) {
  const GateDecision decision = may_activate(active, candidate, direction);
  EXPECT_FALSE(decision.allowed) << decision.reason;
  EXPECT_NE(decision.reason.find(reason), std::string::npos) << decision.reason;
  EXPECT_FALSE(decision.next_step.empty());
}

TEST(Gate, LetsANewSiteStartWithAnyRelease) {
  expect_allowed(nullptr, release("1.4.0", {}));
  expect_refused(nullptr, release("1.4.0", {}), "nothing to go back from", GateDirection::rollback);
}

TEST(Gate, LetsTheNextReleaseIn) {
  const Manifest active = release("1.3.5", {});
  expect_allowed(&active, release("1.4.0", {"1.3.x"}));
  expect_allowed(&active, release("1.3.6", {"1.3.x"}));
  expect_allowed(&active, release("1.4.0-rc.1", {"1.3.5"}));
  expect_allowed(&active, release("2.0.0", {">=1.3.0 <2.0.0"}));
}

TEST(Gate, LetsTheActiveReleaseBeActivatedAgain) {
  const Manifest active = release("1.3.5", {});
  expect_allowed(&active, active);
  expect_allowed(&active, active, GateDirection::rollback);
}

TEST(Gate, RefusesSkippedMinors) {
  const Manifest active = release("1.2.9", {});
  expect_refused(&active, release("1.4.0", {"1.x"}), "skips a minor version");
  expect_refused(&active, release("2.1.0", {"1.x"}), "skips a minor version");
  expect_refused(&active, release("3.0.0", {"1.x"}), "skips a minor version");
  EXPECT_NE(may_activate(&active, release("1.4.0", {"1.x"}), GateDirection::upgrade)
                .next_step.find("1.3"),
            std::string::npos);
}

TEST(Gate, RefusesWhatUpgradeFromDoesNotName) {
  const Manifest active = release("1.3.5", {});
  expect_refused(&active, release("1.4.0", {"1.3.6"}), "upgrades from 1.3.6 only");
  expect_refused(&active, release("1.4.0", {}), "accepts no upgrade");
  const Manifest candidate = release("1.3.5-rc.1", {});
  expect_refused(&candidate, release("1.3.5", {"1.3.x"}), "upgrades from 1.3.x only");
}

TEST(Gate, RefusesDowngradesUnlessAskedForARollback) {
  const Manifest active = release("1.4.0", {});
  const Manifest older = release("1.3.5", {"1.x"});
  expect_refused(&active, older, "is older than the active release");
  expect_allowed(&active, older, GateDirection::rollback);
  expect_refused(&older, active, "is not older", GateDirection::rollback);
}

// A number given by hand does not make a lower version an upgrade.
TEST(Gate, RefusesALowerVersionWithAHigherNumber) {
  const Manifest active = release("1.4.0", {});
  Manifest odd = release("1.3.5", {"1.x"});
  odd.release_number = active.release_number + 1;
  expect_refused(&active, odd, "is older than the active release");
}

TEST(Gate, RefusesAnotherProduct) {
  const Manifest active = release("1.3.5", {});
  Manifest other = release("1.4.0", {"1.3.x"});
  other.product = "other-appliance";
  expect_refused(&active, other, "other-appliance");
  expect_refused(&active, other, "other-appliance", GateDirection::rollback);
}

TEST(Gate, RefusesKubernetesGoingBackOrSkipping) {
  const Manifest active = release("1.3.5", {}, "v1.31.6+k3s2");
  expect_refused(&active, release("1.4.0", {"1.3.x"}, "v1.31.6+k3s1"), "go back");
  expect_refused(&active, release("1.4.0", {"1.3.x"}, "v1.30.9+k3s1"), "go back");
  expect_refused(&active, release("1.4.0", {"1.3.x"}, "v1.33.0+k3s1"),
                 "skips a minor version of Kub");
  expect_refused(&active, release("1.4.0", {"1.3.x"}, "v2.0.0+k3s1"),
                 "skips a minor version of Kub");
  expect_allowed(&active, release("1.4.0", {"1.3.x"}, "v1.32.0+k3s1"));
  expect_allowed(&active, release("1.4.0", {"1.3.x"}, "v1.31.6+k3s3"));
}

}  // namespace
}  // namespace bundle::release
