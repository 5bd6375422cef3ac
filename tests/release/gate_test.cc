// What the gate says, in words; which rules refuse what is compared in gates/test_gate_table.py.
#include "release/gate.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "bundle/error.h"
#include "release_samples.h"
#include "support/expect_error.h"

namespace bundle::release {
namespace {

constexpr UnixTime kMondayNoon = 1'796'040'000;  // 2026-11-30T12:00:00Z

Manifest release(const std::string& version, std::vector<std::string> upgrade_from = {"1.x"},
                 const std::string& k3s = "v1.31.6+k3s1") {
  Manifest manifest = sample_manifest();
  manifest.version = version;
  manifest.release_number = *default_release_number(*SemVer::parse(version));
  manifest.upgrade_from = std::move(upgrade_from);
  manifest.k8s_version = k3s;
  return manifest;
}

// A site that runs `active` and asks about `candidate`; more may be in the store.
GateFacts site(const Manifest& active, const Manifest& candidate, std::vector<Manifest> more = {}) {
  GateFacts facts;
  for (const Manifest& manifest : more) facts.store.push_back({manifest, std::nullopt, 0});
  facts.store.push_back({active, std::nullopt, 0});
  if (active.version != candidate.version) facts.store.push_back({candidate, std::nullopt, 0});
  facts.active = active.version;
  facts.candidate = candidate.version;
  facts.platform = "linux/amd64";
  facts.disk_free = 1 << 30;
  facts.now = kMondayNoon;
  return facts;
}

GateFacts new_site(const Manifest& candidate) {
  GateFacts facts = site(candidate, candidate);
  facts.active.clear();
  return facts;
}

const GateFailure* failure(const GateDecision& decision, std::string_view rule) {
  const auto found = std::ranges::find(decision.failures, rule, &GateFailure::rule);
  return found == decision.failures.end() ? nullptr : &*found;
}

void expect_allowed(const GateFacts& facts) {
  const GateDecision decision = may_activate(facts);
  EXPECT_TRUE(decision.allowed) << decision.reason;
  EXPECT_FALSE(decision.reason.empty());
  EXPECT_EQ(decision.next_step.text, "");
  EXPECT_EQ(decision.next_step.action, "");
}

// Refused by this rule, with these words in its reason and in what to do next.
void expect_refused(const GateFacts& facts, std::string_view rule, std::string_view reason,
                    std::string_view next_step) {
  const GateDecision decision = may_activate(facts);
  EXPECT_FALSE(decision.allowed);
  const GateFailure* found = failure(decision, rule);
  ASSERT_NE(found, nullptr) << rule << " has no objection; " << decision.reason;
  EXPECT_NE(found->reason.find(reason), std::string::npos) << found->reason;
  EXPECT_NE(decision.reason.find(reason), std::string::npos) << decision.reason;
  EXPECT_NE(decision.next_step.text.find(next_step), std::string::npos) << decision.next_step.text;
}

TEST(Gate, LetsANewSiteStartWithAnyRelease) {
  GateFacts facts = new_site(release("1.4.0", {}));
  expect_allowed(facts);
  facts.direction = GateDirection::rollback;
  expect_refused(facts, "direction", "nothing to go back from", "use the activate command");
}

TEST(Gate, LetsTheNextReleaseIn) {
  const Manifest active = release("1.3.5");
  expect_allowed(site(active, release("1.4.0", {"1.3.x"})));
  expect_allowed(site(active, release("1.3.6", {"1.3.x"})));
  expect_allowed(site(active, release("1.4.0-rc.1", {"1.3.5"})));
  expect_allowed(site(active, release("2.0.0", {">=1.3.0 <2.0.0"})));
}

TEST(Gate, LetsTheActiveReleaseBeActivatedAgain) {
  GateFacts facts = site(release("1.3.5"), release("1.3.5"));
  expect_allowed(facts);
  facts.direction = GateDirection::rollback;
  expect_allowed(facts);
}

TEST(Gate, ListsEveryRuleThatFails) {
  Manifest candidate = release("1.5.0", {"1.4.x"}, "v1.33.0+k3s1");
  candidate.gates.disk_free = 2ULL << 30;
  candidate.gates.backup = true;
  GateFacts facts = site(release("1.2.0"), candidate);
  facts.store.back().revoked = "withdrawn";
  facts.store.back().blobs_missing = 3;
  const GateDecision decision = may_activate(facts);
  std::vector<std::string_view> ids;
  for (const GateFailure& found : decision.failures) ids.push_back(found.rule);
  EXPECT_EQ(ids, (std::vector<std::string_view>{"revoked", "complete", "sequential", "upgrade-from",
                                                "support-window", "k8s-skew", "disk", "backup"}));
  for (const GateFailure& found : decision.failures) {
    EXPECT_FALSE(found.next_step.empty()) << found.rule;
    EXPECT_NE(decision.reason.find(found.reason), std::string::npos);
  }
}

TEST(Gate, NamesTheReleaseThatIsMissing) {
  const Manifest active = release("1.3.2");
  expect_refused(site(active, release("1.5.0")), "sequential",
                 "1.3.2 to 1.5.0 skips a minor version",
                 "You run 1.3.2; import 1.4.x first: missing from this store.");
  expect_refused(site(active, release("2.1.0")), "sequential", "skips a minor",
                 "import 1.4.x or 2.0.x first");
  expect_refused(site(active, release("1.4.0", {"1.3.5", "1.3.6"})), "upgrade-from",
                 "1.4.0 upgrades from 1.3.5, 1.3.6 only, and the site runs 1.3.2",
                 "import a release that matches 1.3.5 or 1.3.6 first");
  Manifest far = release("1.5.0");
  far.gates.required_releases = {"1.4.7"};
  expect_refused(site(active, far), "required-release", "leads over 1.4.7", "import 1.4.7 first");
  expect_refused(site(active, release("1.4.0", {"1.x"}, "v1.33.0+k3s1")), "k8s-skew",
                 "skips a minor version of Kubernetes", "import a release with k3s v1.32 first");
}

TEST(Gate, NamesTheReleaseThatIsThere) {
  const Manifest active = release("1.3.2");
  const std::vector<Manifest> more{release("1.4.0"), release("1.4.2"), release("1.3.5")};
  expect_refused(site(active, release("1.5.0"), more), "sequential", "skips a minor",
                 "You run 1.3.2; activate 1.4.2 first: it is in this store.");
  expect_refused(site(active, release("1.4.9", {"1.3.5"}), more), "upgrade-from", "1.3.5 only",
                 "activate 1.3.5 first: it is in this store.");
  // A part of the way is there.
  const GateFacts part = site(active, release("1.6.0"), more);
  expect_refused(
      part, "sequential", "skips a minor",
      "activate 1.4.2 first: it is in this store. After 1.4.2 import 1.5.x: missing from "
      "this store.");
  EXPECT_EQ(may_activate(part).next_step.action, "activate");
  EXPECT_EQ(may_activate(part).next_step.version, "1.4.2");
}

TEST(Gate, NeverLeadsOverARevokedOrIncompleteRelease) {
  GateFacts facts = site(release("1.3.2"), release("1.5.0"), {release("1.4.0"), release("1.4.2")});
  facts.store[1].revoked = "it eats data";
  expect_refused(facts, "sequential", "", "activate 1.4.0 first");
  facts.store[0].blobs_missing = 1;
  expect_refused(facts, "sequential", "", "import 1.4.x first");
}

TEST(Gate, OffersAnotherReleaseInPlaceOfARevokedOne) {
  GateFacts facts = site(release("1.3.2"), release("1.4.2"), {release("1.4.0"), release("1.4.1")});
  facts.store.back().revoked = "the vendor has revoked release 1.4.2: it eats data";
  expect_refused(facts, "revoked", "it eats data", "Activate 1.4.1 instead: it is in this store.");
}

TEST(Gate, TellsADeadEndFromAMissingRelease) {
  const Manifest active = release("1.3.5", {}, "v1.31.6+k3s2");
  expect_refused(site(active, release("1.4.0", {})), "upgrade-from", "for new sites only",
                 "Ask the vendor for a release that upgrades from 1.3.5.");
  expect_refused(site(active, release("1.4.0", {"1.x"}, "v1.31.6+k3s1")), "k8s-downgrade",
                 "k3s would go back from v1.31.6+k3s2 to v1.31.6+k3s1", "Ask the vendor");
  Manifest other = release("1.4.0");
  other.product = "other-appliance";
  expect_refused(site(active, other), "product", "other-appliance", "made for this product");
}

TEST(Gate, RefusesDowngradesUnlessAskedForARollback) {
  GateFacts facts = site(release("1.4.0"), release("1.3.5"));
  expect_refused(facts, "direction", "is older than the active release",
                 "use the rollback command");
  facts.direction = GateDirection::rollback;
  expect_allowed(facts);
  facts = site(release("1.3.5"), release("1.4.0"));
  facts.direction = GateDirection::rollback;
  expect_refused(facts, "direction", "is not older", "use the activate command");
}

// A number given by hand does not make a lower version an upgrade.
TEST(Gate, RefusesALowerVersionWithAHigherNumber) {
  Manifest odd = release("1.3.5");
  odd.release_number = 1'000'500'009'000;
  expect_refused(site(release("1.4.0"), odd), "direction", "is older", "rollback");
}

TEST(Gate, HoldsTheSupportWindowOnTheWayBack) {
  GateFacts facts = site(release("1.5.0"), release("1.2.0"), {release("1.3.0"), release("1.4.0")});
  facts.direction = GateDirection::rollback;
  expect_refused(facts, "support-window", "1.2.0 is 3 minor releases behind 1.5.0, and 2 are",
                 "Take 1.4.0 instead");
  EXPECT_EQ(may_activate(facts).next_step.action, "rollback");
  for (StoredRelease& stored : facts.store) stored.manifest.gates.support_window = 3;
  expect_allowed(facts);
}

TEST(Gate, ClosesUnsupportedReleasesToNewSitesWhenTheVendorSaysSo) {
  Manifest newest = release("1.6.0");
  GateFacts facts = site(release("1.3.0"), newest, {release("1.4.0")});
  facts.active.clear();
  facts.candidate = "1.3.0";
  expect_allowed(facts);
  EXPECT_FALSE(may_activate(facts).notes.empty());
  facts.store.back().manifest.gates.support_window = 2;
  expect_refused(facts, "support-window", "1.3.0 is 3 minor releases behind 1.6.0",
                 "Take 1.6.0 instead");
}

TEST(Gate, AppliesTheCompatibilityMatrix) {
  Manifest candidate = release("1.4.0", {"1.x"}, "v1.32.1+k3s1");
  candidate.gates.compatibility = {{"1.4.x", {"1.32.x"}}, {"1.3.x", {"1.31.x"}}};
  GateFacts facts = site(release("1.3.5"), candidate);
  expect_refused(facts, "k8s-matrix", "neither can go first", "Ask the vendor");
  facts.store.back().manifest.gates.compatibility[1].k8s.emplace_back("1.32.x");
  expect_allowed(facts);  // Kubernetes first
  facts.app_only = true;
  expect_refused(facts, "k8s-matrix", "1.4.0 does not run on Kubernetes v1.31.6+k3s1",
                 "Upgrade with Kubernetes");
  facts.installed_k8s = K3sVersion::parse("v1.32.4+k3s1");
  expect_allowed(facts);
}

TEST(Gate, LooksAtTheSite) {
  Manifest candidate = release("1.4.0");
  candidate.gates.platforms = {"linux/arm64"};
  expect_refused(site(release("1.3.5"), candidate), "platform",
                 "1.4.0 is for linux/arm64, and the site is linux/amd64", "for this platform");
  candidate.gates.platforms.clear();
  candidate.gates.disk_free = 3ULL << 30;
  expect_refused(site(release("1.3.5"), candidate), "disk",
                 "needs 3.0 GiB of free disk, 1.0 GiB are free: 2.0 GiB are missing", "gc");
}

TEST(Gate, WaitsForTheMaintenanceWindow) {
  GateFacts facts = site(release("1.3.5"), release("1.4.0"));
  MaintenanceWindow window;
  window.days = 1U << 5;  // Saturday
  window.from = 22 * 60;
  window.to = 2 * 60;
  facts.maintenance_windows = {window};
  expect_refused(facts, "maintenance-window",
                 "it is 2026-11-30T12:00:00Z, and the maintenance windows are sat 22:00-02:00 UTC",
                 "Wait until 2026-12-05T22:00:00Z.");
  EXPECT_EQ(may_activate(facts).next_step.action, "wait");
  EXPECT_FALSE(may_activate(facts).outside_window);
  facts.now = *parse_time("2026-12-06T01:59:59Z");
  expect_allowed(facts);
  facts.time_floor = facts.now + 1;
  expect_refused(facts, "maintenance-window", "the clock says 2026-12-06T01:59:59Z",
                 "Set the clock");
}

TEST(Gate, GoesOutsideTheWindowOnlyWithAReason) {
  Manifest candidate = release("1.4.0");
  candidate.gates.maintenance_window = true;
  GateFacts facts = site(release("1.3.5"), candidate);
  expect_refused(facts, "maintenance-window", "and this site has none", "--outside-window REASON");
  facts.outside_window = "security fix";
  expect_allowed(facts);
  EXPECT_TRUE(may_activate(facts).outside_window);
  // Not used, so not on record.
  facts.maintenance_windows = {MaintenanceWindow{}};
  EXPECT_FALSE(may_activate(facts).outside_window);
}

TEST(Gate, WantsTheBackupThatTheVendorDemands) {
  Manifest candidate = release("1.4.0");
  candidate.gates.backup = true;
  GateFacts facts = site(release("1.3.5"), candidate);
  facts.hooks_directory = "/var/lib/bundle/hooks";
  expect_refused(facts, "backup", "this site has no backup hook", "/var/lib/bundle/hooks");
  HookResult hook;
  hook.name = "50-backup";
  hook.is_backup = true;
  facts.hooks = {hook};
  expect_allowed(facts);
  EXPECT_EQ(may_activate(facts).notes.size(), 1U);  // it has not been run
  facts.hooks[0].state = HookState::timed_out;
  facts.hooks[0].reason = "did not end within 900 s";
  expect_refused(facts, "backup", "none was taken", "50-backup");
  expect_refused(facts, "preflight-hook", "50-backup did not end within 900 s", "");
  facts.hooks[0].state = HookState::passed;
  facts.hooks[0].reason.clear();
  expect_allowed(facts);
}

// In an emergency only what would break the site stands in the way back.
TEST(Gate, NeitherWindowNorHooksHoldUpARollback) {
  GateFacts facts = site(release("1.4.0"), release("1.3.5"));
  facts.direction = GateDirection::rollback;
  MaintenanceWindow closed;
  closed.to = 1;
  facts.maintenance_windows = {closed};
  HookResult hook;
  hook.name = "10-health";
  hook.state = HookState::failed;
  hook.reason = "ended with status 1";
  facts.hooks = {hook};
  expect_allowed(facts);
}

TEST(Gate, CountsMinorReleasesAcrossMajors) {
  const auto version = [](const char* text) { return *SemVer::parse(text); };
  const std::vector<SemVer> known{version("1.9.0"), version("2.3.1")};
  EXPECT_EQ(minors_between(version("1.3.2"), version("1.5.0"), {}), 2U);
  EXPECT_EQ(minors_between(version("1.3.2"), version("1.3.9"), {}), 0U);
  EXPECT_EQ(minors_between(version("1.5.0"), version("1.3.0"), {}), 0U);
  EXPECT_EQ(minors_between(version("1.8.0"), version("2.0.0"), {}), 1U);
  EXPECT_EQ(minors_between(version("1.8.0"), version("2.0.0"), known), 2U);
  EXPECT_EQ(minors_between(version("1.8.0"), version("3.1.0"), known), 7U);
  EXPECT_GT(minors_between(version("0.1.0"), version("999999999.0.0"), known), 1000U);
}

// Scripts rely on the ids: the document has a row for each one.
TEST(Gate, HasItsRulesInTheDocument) {
  const std::string document = read_text_file(
      posix_file_system(), Path(BUNDLE_SOURCE_DIR) / "docs/release-spec.md", 1 << 20);
  GateFacts back = site(release("1.4.0"), release("1.3.5"));
  back.direction = GateDirection::rollback;
  for (const GateFacts& facts : {site(release("1.3.5"), release("1.4.0")), back}) {
    for (const std::string_view rule : may_activate(facts).rules) {
      EXPECT_NE(document.find(fmt::format("\n| `{}` | ", rule)), std::string::npos) << rule;
    }
  }
}

TEST(Gate, RefusesToAnswerAboutWhatIsNotThere) {
  GateFacts facts = site(release("1.3.5"), release("1.4.0"));
  facts.candidate = "1.4.1";
  testing::expect_error(ErrorCode::release_unknown, [&] { may_activate(facts); });
  facts.candidate = "1.4.0";
  facts.store.back().manifest.k8s_version = "1.31";
  testing::expect_error(ErrorCode::manifest_invalid, [&] { may_activate(facts); });
}

}  // namespace
}  // namespace bundle::release
