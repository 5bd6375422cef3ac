#include "release/gate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "bundle/error.h"

namespace bundle::release {
namespace {

using Answer = std::optional<GateFailure>;  // nothing: this rule has no objection

// first: nothing is active; again: the active release itself, to complete what was cut short.
enum class Kind : std::uint8_t { first, again, upgrade, rollback };

const StoredRelease& find(const GateFacts& facts, const std::string& version) {
  const auto found = std::ranges::find(facts.store, version,
                                       [](const StoredRelease& r) { return r.manifest.version; });
  if (found != facts.store.end()) return *found;
  throw Error(ErrorCode::release_unknown, fmt::format("the store has no release {}", version),
              "'bundle-import list' shows what is there.");
}

struct Situation {
  const GateFacts& facts;
  const StoredRelease& candidate;
  const Manifest* active;  // nullptr: none
  Kind kind;
  std::vector<SemVer> known;  // versions of this product that the site has heard of

  const Manifest& to() const { return candidate.manifest; }
  // The site's Kubernetes; nothing when nobody knows.
  std::optional<K3sVersion> k8s() const {
    if (facts.installed_k8s || active == nullptr) return facts.installed_k8s;
    return k8s_version(*active);
  }
  // Only with an active release.
  PathQuestion path_question() const {
    return {*active, to(), facts.store, *k8s(), facts.app_only, known};
  }
};

std::vector<SemVer> known_versions(const GateFacts& facts, const std::string& product) {
  std::vector<SemVer> known;
  for (const StoredRelease& release : facts.store) {
    if (release.manifest.product == product) known.push_back(app_version(release.manifest));
  }
  if (auto newest = SemVer::parse(facts.newest_known)) known.push_back(*std::move(newest));
  return known;
}

Kind kind_of(const GateFacts& facts, const Manifest* active, const Manifest& candidate) {
  if (facts.direction == GateDirection::rollback && active == nullptr) return Kind::rollback;
  if (active == nullptr) return Kind::first;
  const bool same = active->version == candidate.version && active->product == candidate.product;
  if (same) return Kind::again;
  return facts.direction == GateDirection::rollback ? Kind::rollback : Kind::upgrade;
}

Situation look(const GateFacts& facts, const std::string& version) {
  const StoredRelease& candidate = find(facts, version);
  const Manifest* active = facts.active.empty() ? nullptr : &find(facts, facts.active).manifest;
  return {facts, candidate, active, kind_of(facts, active, candidate.manifest),
          known_versions(facts, candidate.manifest.product)};
}

const SemVer& newest(const std::vector<SemVer>& versions) {
  return *std::ranges::max_element(
      versions, [](const SemVer& a, const SemVer& b) { return compare(a, b) < 0; });
}

// --- what the step must be ---

Answer check_product(const Situation& s) {
  if (s.active == nullptr || s.active->product == s.to().product) return {};
  return GateFailure{"product",
                     fmt::format("the site runs '{}' and this is a release of '{}'",
                                 s.active->product, s.to().product),
                     "Use a release that was made for this product."};
}

Answer check_direction(const Situation& s) {
  const bool wants_back = s.facts.direction == GateDirection::rollback;
  if (s.active == nullptr) {
    if (!wants_back) return {};
    return GateFailure{"direction", "no release is active, so there is nothing to go back from",
                       "To activate the first release use the activate command."};
  }
  const bool older = is_older(s.to(), *s.active);
  if (s.kind == Kind::again || older == wants_back) return {};
  return older ? GateFailure{"direction",
                             fmt::format("{} is older than the active release {}", s.to().version,
                                         s.active->version),
                             "To go back on purpose use the rollback command."}
               : GateFailure{"direction",
                             fmt::format("{} is not older than the active release {}",
                                         s.to().version, s.active->version),
                             "To go forward use the activate command."};
}

// --- what the release must be ---

Answer check_revoked(const Situation& s) {
  if (!s.candidate.revoked) return {};
  return GateFailure{"revoked", *s.candidate.revoked, "Import and activate another release."};
}

Answer check_complete(const Situation& s) {
  if (s.candidate.blobs_missing == 0) return {};
  return GateFailure{
      "complete",
      fmt::format("release {} lacks {} blobs", s.to().version, s.candidate.blobs_missing),
      "Import the release again: only what is missing is written."};
}

// A release that fixes its support window closes the older ones to new sites.
Answer check_first_support(const Situation& s) {
  const StoredRelease* latest = nullptr;
  for (const StoredRelease& release : s.facts.store) {
    if (release.manifest.product != s.to().product) continue;
    if (latest == nullptr || is_older(latest->manifest, release.manifest)) latest = &release;
  }
  const auto window = latest->manifest.gates.support_window;
  const std::uint64_t behind = minors_between(app_version(s.to()), newest(s.known), s.known);
  if (!window || behind <= *window) return {};
  return GateFailure{"support-window",
                     fmt::format("{} is {} minor releases behind {}, and {} are supported (N-{})",
                                 s.to().version, behind, newest(s.known).text(), *window, *window),
                     "Start the new site with a supported release."};
}

Answer check_first_k8s(const Situation& s) {
  const K3sVersion target = s.facts.app_only && s.k8s() ? *s.k8s() : k8s_version(s.to());
  if (s.to().gates.compatible(app_version(s.to()), target)) return {};
  return GateFailure{"k8s-matrix",
                     fmt::format("{} does not run on Kubernetes {}", s.to().version, target.text()),
                     "Install it with its own Kubernetes."};
}

// Back: Kubernetes stays, and the newer release knows best what runs on it.
Answer check_rollback_support(const Situation& s) {
  const std::uint64_t window = s.active->gates.support_window.value_or(kDefaultSupportWindow);
  const std::uint64_t behind = minors_between(app_version(s.to()), app_version(*s.active), s.known);
  if (behind <= window) return {};
  return GateFailure{"support-window",
                     fmt::format("{} is {} minor releases behind {}, and {} are supported (N-{})",
                                 s.to().version, behind, s.active->version, window, window),
                     "Go back to a release that is supported."};
}

Answer check_rollback_k8s(const Situation& s) {
  if (s.active->gates.compatible(app_version(s.to()), *s.k8s())) return {};
  return GateFailure{"k8s-matrix",
                     fmt::format("{} does not run on Kubernetes {}, which the site runs",
                                 s.to().version, s.k8s()->text()),
                     "Go back to a release that runs on it; Kubernetes itself does not go back."};
}

// --- what the site must be ---

Answer check_platform(const Situation& s) {
  const std::vector<std::string>& platforms = s.to().gates.platforms;
  if (platforms.empty() || std::ranges::find(platforms, s.facts.platform) != platforms.end()) {
    return {};
  }
  return GateFailure{"platform",
                     fmt::format("{} is for {}, and the site is {}", s.to().version,
                                 fmt::join(platforms, ", "), s.facts.platform),
                     "Ask the vendor for a release for this platform; if the site's nodes are of "
                     "another one than this machine, say so in site.yaml (platform)."};
}

Answer check_disk(const Situation& s) {
  const std::uint64_t wanted = s.to().gates.disk_free;
  if (s.facts.disk_free >= wanted) return {};
  return GateFailure{"disk",
                     fmt::format("{} needs {} of free disk, {} are free: {} are missing",
                                 s.to().version, human_size(wanted), human_size(s.facts.disk_free),
                                 human_size(wanted - s.facts.disk_free)),
                     "bundle-import gc removes old releases."};
}

bool window_is_open(const Situation& s) {
  return s.facts.now >= s.facts.time_floor &&
         std::ranges::any_of(s.facts.maintenance_windows,
                             [&](const auto& window) { return window.is_open(s.facts.now); });
}

bool wants_window(const Situation& s) {
  return s.to().gates.maintenance_window || !s.facts.maintenance_windows.empty();
}

Answer check_window(const Situation& s) {
  constexpr std::string_view kOverride =
      " To do it now all the same, say why: --outside-window REASON; that is put on record.";
  if (!wants_window(s) || window_is_open(s) || !s.facts.outside_window.empty()) return {};
  const auto refuse = [&](std::string reason, std::string next) {
    return GateFailure{"maintenance-window", std::move(reason), std::move(next += kOverride)};
  };
  const auto& windows = s.facts.maintenance_windows;
  if (windows.empty()) {
    return refuse(fmt::format("{} is installed in a maintenance window only, and this site has "
                              "none",
                              s.to().version),
                  "Write maintenanceWindows into site.yaml.");
  }
  if (s.facts.now < s.facts.time_floor) {
    return refuse(fmt::format("whether a maintenance window is open cannot be told: the clock says "
                              "{}, but something signed on {} is here already",
                              format_time(s.facts.now), format_time(s.facts.time_floor)),
                  "Set the clock.");
  }
  std::vector<std::string> texts;
  UnixTime opening = windows.front().next_opening(s.facts.now);
  for (const MaintenanceWindow& window : windows) {
    texts.push_back(window.text());
    opening = std::min(opening, window.next_opening(s.facts.now));
  }
  return refuse(fmt::format("it is {}, and the maintenance windows are {}",
                            format_time(s.facts.now), fmt::join(texts, ", ")),
                fmt::format("Wait until {}.", format_time(opening)));
}

Answer check_cluster(const Situation& s) {
  if (s.facts.cluster_problems.empty() || !s.facts.unhealthy_reason.empty()) return {};
  return GateFailure{
      "cluster-health",
      fmt::format("the cluster is not well: {}", fmt::join(s.facts.cluster_problems, "; ")),
      "Put the cluster right first. If the new release is the cure, say why: "
      "--unhealthy REASON; that is put on record."};
}

Answer check_values(const Situation& s) {
  if (s.facts.value_problems.empty()) return {};
  return GateFailure{"site-values",
                     fmt::format("{} does not accept the site's own values: {}", s.to().version,
                                 fmt::join(s.facts.value_problems, "; ")),
                     "Change these values of the site, then run the same command again."};
}

// Data that a newer release has changed cannot be read by the older one.
Answer check_no_return(const Situation& s) {
  if (s.facts.restore) return {};
  for (const StoredRelease& release : s.facts.store) {
    const Manifest& passed = release.manifest;
    const auto first = SemVer::parse(passed.gates.point_of_no_return);
    if (!first || passed.product != s.active->product || is_older(*s.active, passed)) continue;
    if (compare(app_version(s.to()), *first) >= 0) continue;
    if (compare(*first, app_version(*s.active)) > 0) continue;
    return GateFailure{
        "point-of-no-return",
        fmt::format("{} has changed the data so that {} cannot read them", first->text(),
                    s.to().version),
        fmt::format("Go on with a newer release; or put the data of before back with it: "
                    "bundle-import rollback {} --restore BACKUP ('bundle-import status' lists the "
                    "backups). What was written since that backup is lost.",
                    s.to().version)};
  }
  return {};
}

Answer check_backup(const Situation& s) {
  if (!s.to().gates.backup) return {};
  const auto hook = std::ranges::find(s.facts.hooks, true, &HookResult::is_backup);
  if (hook == s.facts.hooks.end()) {
    return GateFailure{"backup",
                       fmt::format("{} demands a backup before it, and this site has no backup "
                                   "hook",
                                   s.to().version),
                       fmt::format("Put a program that takes one into {}, with the name backup.",
                                   s.facts.hooks_directory)};
  }
  if (hook->state == HookState::passed || hook->state == HookState::not_run) return {};
  return GateFailure{
      "backup", fmt::format("{} demands a backup before it, and none was taken", s.to().version),
      fmt::format("Put right what the hook {} says.", hook->name)};
}

Answer check_hooks(const Situation& s) {
  std::vector<std::string> failed;
  for (const HookResult& hook : s.facts.hooks) {
    if (hook.reason.empty()) continue;
    failed.push_back(fmt::format("the preflight hook {} {}", hook.name, hook.reason));
  }
  if (failed.empty()) return {};
  return GateFailure{"preflight-hook", fmt::format("{}", fmt::join(failed, "; ")),
                     "Put right what its output says, then run the same command again."};
}

// --- all of them ---

constexpr unsigned kFirst = 1;
constexpr unsigned kAgain = 2;
constexpr unsigned kUpgrade = 4;
constexpr unsigned kRollback = 8;
constexpr unsigned kAlways = kFirst | kAgain | kUpgrade | kRollback;

struct Rule {
  std::string_view id;
  unsigned kinds;  // of steps that it is asked about
  Answer (*check)(const Situation&);
};
// When one of these fails it is not that step at all, and the rules of the step are not asked.
constexpr Rule kStepRules[] = {
    {"product", kUpgrade | kRollback, check_product},
    {"direction", kUpgrade | kRollback, check_direction},
};
constexpr Rule kReleaseRules[] = {
    {"revoked", kAlways, check_revoked},
    {"complete", kAlways, check_complete},
};
// upgrade_failures() stands here for upgrades.
constexpr Rule kSiteRules[] = {
    {"support-window", kFirst, check_first_support},
    {"support-window", kRollback, check_rollback_support},
    {"k8s-matrix", kFirst, check_first_k8s},
    {"k8s-matrix", kRollback, check_rollback_k8s},
    {"platform", kFirst | kUpgrade, check_platform},
    {"disk", kFirst | kUpgrade, check_disk},
    {"maintenance-window", kUpgrade, check_window},
    {"point-of-no-return", kRollback, check_no_return},
    {"cluster-health", kUpgrade, check_cluster},
    {"site-values", kUpgrade, check_values},
    {"backup", kUpgrade, check_backup},
    {"preflight-hook", kUpgrade, check_hooks},
};

unsigned bit(Kind kind) {
  return 1U << static_cast<unsigned>(kind);
}

template <typename Rules>
void ask(const Rules& rules, const Situation& s, GateDecision& decision) {
  for (const Rule& rule : rules) {
    if ((rule.kinds & bit(s.kind)) == 0) continue;
    decision.rules.push_back(rule.id);
    if (Answer failure = rule.check(s)) decision.failures.push_back(*std::move(failure));
  }
}

void ask_upgrade_rules(const Situation& s, GateDecision& decision) {
  std::ranges::copy(upgrade_rules(), std::back_inserter(decision.rules));
  for (GateFailure& failure :
       upgrade_failures({*s.active, s.to(), *s.k8s(), s.facts.app_only, s.known})) {
    decision.failures.push_back(std::move(failure));
  }
}

bool is_upgrade_rule(std::string_view id) {
  return std::ranges::find(upgrade_rules(), id) != upgrade_rules().end();
}

// The next step of one failure that does not depend on other releases.
NextStep own_step(const Situation& s, const GateFailure& failure) {
  constexpr std::pair<std::string_view, std::string_view> kActions[] = {
      {"product", "ask-vendor"},    {"complete", "import"},
      {"platform", "ask-vendor"},   {"disk", "free-space"},
      {"backup", "fix-site"},       {"preflight-hook", "fix-site"},
      {"k8s-matrix", "ask-vendor"}, {"cluster-health", "fix-site"},
      {"site-values", "fix-site"},  {"point-of-no-return", "restore"}};
  const std::string& version = s.to().version;
  if (failure.rule == "direction") {
    const bool forward = s.facts.direction == GateDirection::rollback;
    return {forward ? "activate" : "rollback", version, failure.next_step};
  }
  if (failure.rule == "maintenance-window") {
    const bool fix = s.facts.maintenance_windows.empty() || s.facts.now < s.facts.time_floor;
    return {fix ? "fix-site" : "wait", "", failure.next_step};
  }
  for (const auto& [rule, action] : kActions) {
    if (rule != failure.rule) continue;
    return {std::string(action), failure.rule == "complete" ? version : "", failure.next_step};
  }
  return {"activate", "", failure.next_step};
}

// Another release of the store for a first activation or a way back: the newest that is allowed.
NextStep other_release(const Situation& s, std::string text) {
  const StoredRelease* best = nullptr;
  for (const StoredRelease& release : s.facts.store) {
    if (release.manifest.product != s.to().product) continue;
    const Situation other = look(s.facts, release.manifest.version);
    if (other.kind != s.kind) continue;
    GateDecision decision;
    ask(kStepRules, other, decision);
    ask(kReleaseRules, other, decision);
    ask(kSiteRules, other, decision);
    if (!decision.failures.empty()) continue;
    if (best == nullptr || is_older(best->manifest, release.manifest)) best = &release;
  }
  if (best == nullptr) return {"import", "", std::move(text)};
  const std::string& version = best->manifest.version;
  return {s.kind == Kind::rollback ? "rollback" : "activate", version,
          fmt::format("Take {} instead: it is in this store.", version)};
}

// The one thing to do next, by the gravest failure: a step that is none, a release that will never
// do, a step that needs others before it, and then what the site can put right.
NextStep choose_next(const Situation& s, std::vector<GateFailure>& failures) {
  const auto failed = [&](std::string_view rule) {
    return std::ranges::find(failures, rule, &GateFailure::rule) != failures.end();
  };
  if (failed("product") || failed("direction")) return own_step(s, failures.front());
  const bool forward = s.kind == Kind::upgrade;
  if (failed("revoked") && forward) return next_instead(s.path_question());
  const bool other = failed("revoked") || (!forward && failed("support-window")) ||
                     (s.kind == Kind::rollback && failed("k8s-matrix"));
  if (other) return other_release(s, failures.front().next_step);
  if (forward && std::ranges::any_of(failures, is_upgrade_rule, &GateFailure::rule)) {
    return next_on_the_way(s.path_question());
  }
  return own_step(s, failures.front());
}

void add_notes(const Situation& s, GateDecision& decision) {
  for (const HookResult& hook : s.facts.hooks) {
    if (s.kind == Kind::upgrade && hook.state == HookState::not_run) {
      decision.notes.push_back(fmt::format("the preflight hook {} has not been run", hook.name));
    }
  }
  const std::uint64_t behind = minors_between(app_version(s.to()), newest(s.known), s.known);
  const std::uint64_t window = s.to().gates.support_window.value_or(kDefaultSupportWindow);
  if (behind > window) {
    decision.notes.push_back(
        fmt::format("{} is no longer supported: {} is known here; go on from "
                    "there",
                    s.to().version, newest(s.known).text()));
  }
}

std::string describe(const Situation& s) {
  switch (s.kind) {
    case Kind::first:
      return fmt::format("{} is the first release of this site", s.to().version);
    case Kind::again:
      return fmt::format("{} is the active release already", s.to().version);
    case Kind::upgrade:
      return fmt::format("upgrade from {} to {}", s.active->version, s.to().version);
    case Kind::rollback:
      break;
  }
  return fmt::format("rollback from {} to {}", s.active->version, s.to().version);
}

}  // namespace

GateDecision may_activate(const GateFacts& facts) {
  const Situation situation = look(facts, facts.candidate);
  GateDecision decision;
  ask(kStepRules, situation, decision);
  const bool is_the_step = decision.failures.empty();
  ask(kReleaseRules, situation, decision);
  if (is_the_step) {
    if (situation.kind == Kind::upgrade) ask_upgrade_rules(situation, decision);
    ask(kSiteRules, situation, decision);
  }
  decision.allowed = decision.failures.empty();
  if (decision.allowed) {
    decision.reason = describe(situation);
    decision.outside_window =
        situation.kind == Kind::upgrade && wants_window(situation) && !window_is_open(situation);
    add_notes(situation, decision);
    return decision;
  }
  std::vector<std::string> reasons;
  for (const GateFailure& failure : decision.failures) reasons.push_back(failure.reason);
  decision.reason = fmt::format("{}", fmt::join(reasons, "; "));
  decision.next_step = choose_next(situation, decision.failures);
  for (GateFailure& failure : decision.failures) {
    if (failure.next_step.empty()) failure.next_step = decision.next_step.text;
  }
  return decision;
}

}  // namespace bundle::release
