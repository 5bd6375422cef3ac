#include "release/gate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "bundle/error.h"
#include "release/version.h"

namespace bundle::release {
namespace {

using Finding = std::optional<GateDecision>;  // nothing: this rule has no objection

GateDecision refuse(std::string reason, std::string next_step) {
  return {false, std::move(reason), std::move(next_step)};
}

SemVer semver(const Manifest& manifest) {
  auto version = SemVer::parse(manifest.version);
  if (!version) {
    throw Error(ErrorCode::manifest_invalid,
                fmt::format("'{}' is no SemVer 2 version", manifest.version));
  }
  return *std::move(version);
}

K3sVersion k3s(const Manifest& manifest) {
  auto version = K3sVersion::parse(manifest.k8s_version);
  if (!version) {
    throw Error(ErrorCode::manifest_invalid,
                fmt::format("'{}' is no k3s version", manifest.k8s_version));
  }
  return *std::move(version);
}

Finding check_product(const Manifest& active, const Manifest& candidate) {
  if (active.product == candidate.product) return {};
  return refuse(fmt::format("the site runs '{}' and this is a release of '{}'", active.product,
                            candidate.product),
                "Use a release that was made for this product.");
}

Finding check_direction(const Manifest& active, const Manifest& candidate,
                        GateDirection direction) {
  // Both orders must agree: a number given by hand may not hide a lower version.
  const bool older = candidate.release_number < active.release_number ||
                     compare(semver(candidate), semver(active)) < 0;
  if (older && direction == GateDirection::upgrade) {
    return refuse(
        fmt::format("{} is older than the active release {}", candidate.version, active.version),
        "To go back on purpose use the rollback command.");
  }
  if (!older && direction == GateDirection::rollback) {
    return refuse(fmt::format("{} is not older than the active release {}", candidate.version,
                              active.version),
                  "To go forward use the activate command.");
  }
  return {};
}

Finding check_sequence(const Manifest& active, const Manifest& candidate) {
  const SemVer from = semver(active);
  const SemVer to = semver(candidate);
  const bool same_line = to.major == from.major && to.minor <= from.minor + 1;
  const bool next_major = to.major == from.major + 1 && to.minor == 0;
  if (same_line || next_major) return {};
  const std::string next = to.major == from.major ? fmt::format("{}.{}", from.major, from.minor + 1)
                                                  : fmt::format("{}.{} (or {}.0)", from.major,
                                                                from.minor + 1, from.major + 1);
  return refuse(fmt::format("{} to {} skips a minor version: upgrades go one by one",
                            active.version, candidate.version),
                fmt::format("Import and activate a release {} first.", next));
}

Finding check_upgrade_from(const Manifest& active, const Manifest& candidate) {
  const SemVer from = semver(active);
  const auto matches = [&](const std::string& text) {
    const auto pattern = VersionPattern::parse(text);
    return pattern && pattern->matches(from);
  };
  const auto& accepted = candidate.upgrade_from;
  if (std::ranges::any_of(accepted, matches)) return {};
  if (accepted.empty()) {
    return refuse(fmt::format("{} accepts no upgrade: it is for new sites only", candidate.version),
                  "Ask the vendor for a release that upgrades from " + active.version + ".");
  }
  const std::string list = fmt::format("{}", fmt::join(accepted, ", "));
  return refuse(fmt::format("{} upgrades from {} only, and the site runs {}", candidate.version,
                            list, active.version),
                fmt::format("Import and activate a release that matches {} first.", list));
}

Finding check_kubernetes(const Manifest& active, const Manifest& candidate) {
  const K3sVersion from = k3s(active);
  const K3sVersion to = k3s(candidate);
  if (compare(to, from) < 0) {
    return refuse(
        fmt::format("k3s would go back from {} to {}", active.k8s_version, candidate.k8s_version),
        "Ask the vendor for a release with this k3s version or a newer one.");
  }
  const SemVer& old = from.kubernetes;
  const SemVer& target = to.kubernetes;
  if (target.major != old.major || target.minor > old.minor + 1) {
    return refuse(fmt::format("k3s {} to {} skips a minor version of Kubernetes",
                              active.k8s_version, candidate.k8s_version),
                  fmt::format("Import and activate a release with k3s v{}.{} first.", old.major,
                              old.minor + 1));
  }
  return {};
}

}  // namespace

GateDecision may_activate(const Manifest* active, const Manifest& candidate,
                          GateDirection direction) {
  if (active == nullptr) {
    if (direction == GateDirection::rollback) {
      return refuse("no release is active, so there is nothing to go back from",
                    "To activate the first release use the activate command.");
    }
    return {true, fmt::format("{} is the first release of this site", candidate.version), {}};
  }
  if (const Finding finding = check_product(*active, candidate)) return *finding;
  if (active->version == candidate.version && active->release_number == candidate.release_number) {
    return {true, fmt::format("{} is the active release already", candidate.version), {}};
  }
  if (const Finding finding = check_direction(*active, candidate, direction)) return *finding;
  if (direction == GateDirection::rollback) {
    return {true, fmt::format("rollback from {} to {}", active->version, candidate.version), {}};
  }
  for (const auto rule : {check_sequence, check_upgrade_from, check_kubernetes}) {
    if (const Finding finding = rule(*active, candidate)) return *finding;
  }
  return {true, fmt::format("upgrade from {} to {}", active->version, candidate.version), {}};
}

}  // namespace bundle::release
