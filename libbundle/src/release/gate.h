// May this release become the active one?
#pragma once

#include <cstdint>
#include <string>

#include "release/manifest.h"

namespace bundle::release {

enum class GateDirection : std::uint8_t { upgrade, rollback };

struct GateDecision {
  bool allowed = false;
  std::string reason;     // in words, whether allowed or not
  std::string next_step;  // what the operator does now; empty when allowed
};

// `active` is nullptr on a site that has no active release yet. Rules, in this order: same product;
// a rollback goes to an older release and an upgrade to a newer one (by release number; the same
// release again is always allowed); an upgrade skips no minor version (nor a major one) of the
// application, and upgradeFrom of the candidate names the active version; Kubernetes is not
// downgraded and skips no minor version.
GateDecision may_activate(const Manifest* active, const Manifest& candidate,
                          GateDirection direction);

}  // namespace bundle::release
