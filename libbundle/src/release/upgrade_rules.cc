#include "release/upgrade_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "bundle/error.h"

namespace bundle::release {
namespace {

constexpr std::string_view kHint = "The release was made wrong: the vendor must make it again.";

// A finding of one rule: the reason, and the next step if the rule knows it by itself.
struct Finding {
  std::string reason;
  std::string next_step = {};
};
using Answer = std::optional<Finding>;

struct Parsed {
  const UpgradeStep& step;
  SemVer from;
  SemVer to;
  K3sVersion target;  // Kubernetes after the step
};

Answer check_sequence(const Parsed& p) {
  const bool same_line = p.to.major == p.from.major && p.to.minor <= p.from.minor + 1;
  const bool next_major = p.to.major == p.from.major + 1 && p.to.minor == 0;
  if (same_line || next_major) return {};
  return Finding{fmt::format("{} to {} skips a minor version: upgrades go one by one",
                             p.step.from.version, p.step.to.version)};
}

Answer check_required(const Parsed& p) {
  const std::vector<SemVer> between = required_between(p.from, p.step.to);
  if (between.empty()) return {};
  std::vector<std::string> texts;
  for (const SemVer& version : between) texts.push_back(version.text());
  return Finding{fmt::format("the way from {} to {} leads over {}", p.step.from.version,
                             p.step.to.version, fmt::join(texts, ", "))};
}

Answer check_upgrade_from(const Parsed& p) {
  const auto matches = [&](const std::string& text) {
    const auto pattern = VersionPattern::parse(text);
    return pattern && pattern->matches(p.from);
  };
  const std::vector<std::string>& accepted = p.step.to.upgrade_from;
  if (std::ranges::any_of(accepted, matches)) return {};
  if (accepted.empty()) {
    return Finding{
        fmt::format("{} accepts no upgrade: it is for new sites only", p.step.to.version),
        "Ask the vendor for a release that upgrades from " + p.step.from.version + "."};
  }
  return Finding{fmt::format("{} upgrades from {} only, and the site runs {}", p.step.to.version,
                             fmt::join(accepted, ", "), p.step.from.version)};
}

Answer check_support_window(const Parsed& p) {
  const std::uint64_t window = p.step.to.gates.support_window.value_or(kDefaultSupportWindow);
  const std::uint64_t behind = minors_between(p.from, p.to, p.step.known);
  if (behind <= window) return {};
  return Finding{fmt::format("{} is {} minor releases behind {}, which supports {} (N-{})",
                             p.step.from.version, behind, p.step.to.version, window, window)};
}

Answer check_k8s_downgrade(const Parsed& p) {
  if (compare(p.target, p.step.k8s) >= 0) return {};
  return Finding{fmt::format("k3s would go back from {} to {}", p.step.k8s.text(), p.target.text()),
                 "Ask the vendor for a release with this k3s version or a newer one."};
}

Answer check_k8s_skew(const Parsed& p) {
  const SemVer& old = p.step.k8s.kubernetes;
  const SemVer& target = p.target.kubernetes;
  if (target.major == old.major && target.minor <= old.minor + 1) return {};
  if (compare(p.target, p.step.k8s) < 0) return {};  // going back is another rule's
  return Finding{fmt::format("k3s {} to {} skips a minor version of Kubernetes", p.step.k8s.text(),
                             p.target.text())};
}

// Application and Kubernetes move one after the other: one of the two orders must be allowed.
Answer check_k8s_matrix(const Parsed& p) {
  const GateRules& rules = p.step.to.gates;
  const bool at_the_end = rules.compatible(p.to, p.target);
  const bool app_first = rules.compatible(p.to, p.step.k8s);
  const bool k8s_first = rules.compatible(p.from, p.target);
  if (at_the_end && (app_first || k8s_first)) return {};
  if (!at_the_end) {
    return Finding{
        fmt::format("{} does not run on Kubernetes {}", p.step.to.version, p.target.text()),
        p.step.app_only ? "Upgrade with Kubernetes, not the application only."
                        : "Ask the vendor: the release contradicts its own matrix."};
  }
  return Finding{
      fmt::format("{} does not run on Kubernetes {}, nor {} on {}: neither can go first",
                  p.step.to.version, p.step.k8s.text(), p.step.from.version, p.target.text()),
      "Ask the vendor for a release between the two."};
}

struct Rule {
  std::string_view id;
  Answer (*check)(const Parsed&);
};
constexpr Rule kRules[] = {
    {"sequential", check_sequence},         {"required-release", check_required},
    {"upgrade-from", check_upgrade_from},   {"support-window", check_support_window},
    {"k8s-downgrade", check_k8s_downgrade}, {"k8s-skew", check_k8s_skew},
    {"k8s-matrix", check_k8s_matrix},
};

constexpr auto kRuleIds = [] {
  std::array<std::string_view, std::size(kRules)> ids;
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = kRules[i].id;
  return ids;
}();

// The largest minor of a major that is known; 0 when there is none.
std::uint64_t last_minor(std::uint64_t major, std::span<const SemVer> known) {
  std::uint64_t last = 0;
  for (const SemVer& version : known) {
    if (version.major == major) last = std::max(last, version.minor);
  }
  return last;
}

}  // namespace

std::span<const std::string_view> upgrade_rules() {
  return kRuleIds;
}

std::vector<GateFailure> upgrade_failures(const UpgradeStep& step) {
  const Parsed parsed{step, app_version(step.from), app_version(step.to),
                      step.app_only ? step.k8s : k8s_version(step.to)};
  std::vector<GateFailure> failures;
  for (const Rule& rule : kRules) {
    if (Answer finding = rule.check(parsed)) {
      failures.push_back({rule.id, std::move(finding->reason), std::move(finding->next_step)});
    }
  }
  return failures;
}

std::uint64_t minors_between(const SemVer& older, const SemVer& newer,
                             std::span<const SemVer> known) {
  if (newer.major == older.major) return newer.minor > older.minor ? newer.minor - older.minor : 0;
  if (newer.major < older.major) return 0;
  constexpr std::uint64_t kMaxMajors = 1000;  // more apart than any window is wide
  if (newer.major - older.major > kMaxMajors) return std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t last = std::max(older.minor, last_minor(older.major, known));
  std::uint64_t count = last - older.minor + newer.minor + 1;
  for (std::uint64_t major = older.major + 1; major < newer.major; ++major) {
    count += last_minor(major, known) + 1;
  }
  return count;
}

bool is_older(const Manifest& a, const Manifest& b) {
  return a.release_number < b.release_number || compare(app_version(a), app_version(b)) < 0;
}

SemVer app_version(const Manifest& manifest) {
  auto version = SemVer::parse(manifest.version);
  if (!version) {
    throw Error(ErrorCode::manifest_invalid,
                fmt::format("'{}' is no SemVer 2 version", manifest.version), std::string(kHint));
  }
  return *std::move(version);
}

K3sVersion k8s_version(const Manifest& manifest) {
  auto version = K3sVersion::parse(manifest.k8s_version);
  if (!version) {
    throw Error(ErrorCode::manifest_invalid,
                fmt::format("'{}' is no k3s version", manifest.k8s_version), std::string(kHint));
  }
  return *std::move(version);
}

std::vector<SemVer> required_between(const SemVer& from, const Manifest& to) {
  const SemVer target = app_version(to);
  std::vector<SemVer> between;
  for (const std::string& text : to.gates.required_releases) {
    const auto required = SemVer::parse(text);
    if (required && compare(from, *required) < 0 && compare(*required, target) < 0) {
      between.push_back(*required);
    }
  }
  std::ranges::sort(between, [](const auto& a, const auto& b) { return compare(a, b) < 0; });
  return between;
}

}  // namespace bundle::release
