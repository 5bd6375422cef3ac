// May this release become the active one? One function, asked by `gate`, `activate`, `rollback` and
// everything that a site builds on them. Rules and their ids: docs/release-spec.md, "Rules of an
// upgrade".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "release/manifest.h"
#include "release/preflight_hooks.h"
#include "release/site_config.h"
#include "release/upgrade_path.h"
#include "release/upgrade_rules.h"

namespace bundle::release {

enum class GateDirection : std::uint8_t { upgrade, rollback };

// Everything that the answer depends on.
struct GateFacts {
  std::vector<StoredRelease> store;  // every release of the store
  std::string candidate;             // version; in `store`
  std::string active;                // version; in `store`; empty: none is active yet
  GateDirection direction = GateDirection::upgrade;
  bool app_only = false;  // Kubernetes stays as it is

  std::string newest_known;                 // version that the site has accepted once; may be empty
  std::optional<K3sVersion> installed_k8s;  // nothing: that of the active release
  std::string platform;                     // of the site's nodes: "linux/amd64"
  std::uint64_t disk_free = 0;              // bytes, in the store's file system
  UnixTime now = 0;                         // at the site: its clock, as trust corrects it
  UnixTime time_floor = 0;                  // the latest signed time that it has seen
  std::vector<MaintenanceWindow> maintenance_windows;
  std::string outside_window;     // why the windows do not count this time; empty: they do
  std::vector<HookResult> hooks;  // of all preflight hooks
  std::string hooks_directory;    // for messages
  // What is not well in the site's cluster, one line each; empty too when none is configured.
  std::vector<std::string> cluster_problems;
  std::string unhealthy_reason;  // why these do not count this time; empty: they do
  // The site's own values that the candidate's chart does not accept, one line each.
  std::vector<std::string> value_problems;
  bool restore = false;  // a step back puts the backup back, too
};

struct GateDecision {
  bool allowed = false;
  std::string reason;                   // in words: what is allowed, or all failures
  NextStep next_step;                   // empty when allowed
  std::vector<std::string_view> rules;  // ids of the rules that were asked, in order
  std::vector<GateFailure> failures;    // of these; empty when allowed
  std::vector<std::string> notes;       // what a person should know and that refuses nothing
  bool outside_window = false;          // allowed only because facts.outside_window says so
};

// Pure and thread-safe. A hook that was not run yet refuses nothing. Throws Error{manifest_invalid}
// for a version that is none, Error{release_unknown} when candidate or active is not in the store.
GateDecision may_activate(const GateFacts& facts);

}  // namespace bundle::release
