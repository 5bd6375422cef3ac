// The rules about one step from release to release. They look at versions only: what the rules
// are is docs/release-spec.md, "Rules of an upgrade". Pure and thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "release/manifest.h"
#include "release/version.h"

namespace bundle::release {

struct GateFailure {
  std::string_view rule;  // its id, stable for scripts: "sequential"
  std::string reason;     // in words
  std::string next_step;  // what the operator does about this one
};

// A step forward.
struct UpgradeStep {
  const Manifest& from;
  const Manifest& to;
  K3sVersion k8s;         // that the site runs before the step
  bool app_only = false;  // Kubernetes stays as it is
  std::span<const SemVer>
      known;  // versions that the site has heard of, for counting minor releases
};

// Ids of the rules that upgrade_failures() asks, in its order.
std::span<const std::string_view> upgrade_rules();
// Empty when the step is allowed. next_step is filled where it does not depend on what is in the
// store. Throws Error{manifest_invalid} for a version that is none.
std::vector<GateFailure> upgrade_failures(const UpgradeStep& step);

// How many minor releases lie after `older` up to and with `newer`; 0 when `newer` is not of a
// later minor. Across majors: every minor of the majors between that is known.
std::uint64_t minors_between(const SemVer& older, const SemVer& newer,
                             std::span<const SemVer> known);

// By release number or by version: a number given by hand may not hide a lower version.
bool is_older(const Manifest& a, const Manifest& b);

// Parsed fields; throw Error{manifest_invalid}.
SemVer app_version(const Manifest& manifest);
K3sVersion k8s_version(const Manifest& manifest);

// Releases that `to` requires on the way and a site that runs `from` has not reached, ascending.
std::vector<SemVer> required_between(const SemVer& from, const Manifest& to);

}  // namespace bundle::release
