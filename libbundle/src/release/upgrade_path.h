// When a step is refused: what the site can do instead, with the releases that it has.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "release/manifest.h"
#include "release/version.h"

namespace bundle::release {

// A release in the site's store.
struct StoredRelease {
  Manifest manifest;
  std::optional<std::string> revoked;  // why, in words
  std::uint64_t blobs_missing = 0;
  bool usable() const { return !revoked && blobs_missing == 0; }
};

// For scripts and for people. `action` is one of
//   "activate" `version`: it is in the store     "import" `version` (may be a pattern or empty)
//   "rollback" "wait" "free-space" "fix-site" "ask-vendor"; empty when nothing has to be done
struct NextStep {
  std::string action;
  std::string version;
  std::string text;
};

struct PathQuestion {
  const Manifest& active;
  const Manifest& candidate;
  std::span<const StoredRelease> store;
  K3sVersion k8s;  // that the site runs now
  bool app_only = false;
  std::span<const SemVer> known;  // as in UpgradeStep
};

// Whether the site gets from `active` to `candidate` with what is in the store.
bool has_way(const PathQuestion& question);

// The first step of the shortest allowed way from `active` to `candidate` over usable releases of
// the store; of several the one to the newest release. When there is no way: the first step to
// where the store ends, and what is missing then. Time: the square of the releases in between.
NextStep next_on_the_way(const PathQuestion& question);

// The newest usable release of the store, other than the candidate, that may follow `active`
// directly; else what to ask for. For a candidate that will never do.
NextStep next_instead(const PathQuestion& question);

}  // namespace bundle::release
