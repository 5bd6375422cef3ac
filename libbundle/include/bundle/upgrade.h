// A site moves from one release to another as a whole: the gate, the hooks, k3s, the live release,
// and then the cluster is watched until it has followed. When it does not, the site goes back.
//
// Each step is written into STORE/upgrade.json before it begins and when it has ended. After a kill
// or a power cut the same call goes on where it was. At every moment exactly one release is live.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bundle/error.h"
#include "bundle/progress.h"
#include "bundle/site.h"

namespace bundle {

struct UpgradeOptions {
  GateOptions gate;
  bool dry_run = false;  // only say what would be done
  // A rollback: the backup that is put back with it, by its name or "latest"; empty: none.
  std::string restore;
  // A rollback: also take back what the last upgrade did to k3s, by its snapshot.
  bool with_k3s = false;
};

struct UpgradeStepReport {
  std::string name;   // "k3s-stage", "k3s-snapshot", "k3s-node server-1", "pointer", "reconcile"
  std::string text;   // in words
  std::string state;  // "planned", "begun", "done", "undone"
  std::string time;   // of the state, RFC 3339; empty when planned
  std::string note;   // what came of it
  std::vector<std::string> commands;  // that it runs, for people
};

struct UpgradeReport {
  std::string from;  // empty: none was live
  std::string to;
  std::string live;  // now
  // "planned" (dry run), "upgraded", "rolled_back" (a rollback did what it should, or an upgrade
  // failed and the site went back), "unchanged" (nothing was to do), "failed" (see `reason`)
  std::string outcome;
  bool resumed = false;  // an earlier call was cut short
  bool waited = false;   // the cluster was watched until it had followed
  // When the step did not come about, why, and what to do. `error` is then the exit status.
  bool ok = true;
  ErrorCode error = ErrorCode::timeout;  // of what made it fail
  std::string reason;
  std::string next_step;
  GateAnswer gate;  // empty when resumed
  std::vector<UpgradeStepReport> steps;
  std::vector<std::string> notes;
};

// Moves the site to an imported release, with the gate's approval. One call per store at a time;
// imports may go on meanwhile. A failure that leads back is a report with ok == false; a refusal
// before anything was changed throws as activate_release. Throws also Error{busy},
// Error{release_active} when another step was cut short, and Error{cancelled}, after which the
// same call goes on. Blocks until the cluster has followed, or until the site's time limit.
UpgradeReport upgrade_site(const std::filesystem::path& store, const std::string& version,
                           const UpgradeOptions& options, Progress& progress, const Cancel& cancel);

// Back: ends an upgrade that was cut short by undoing it; else a deliberate step to an older
// release, to the newest older one with an empty version. Throws as upgrade_site.
UpgradeReport roll_back_site(const std::filesystem::path& store, const std::string& version,
                             const UpgradeOptions& options, Progress& progress,
                             const Cancel& cancel);

}  // namespace bundle
