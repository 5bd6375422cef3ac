// A site store: what is there, which release is live, and keeping it in order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bundle/error.h"
#include "bundle/progress.h"

namespace bundle {

struct SiteRelease {
  std::string product;
  std::string version;
  std::uint64_t release_number = 0;
  std::string created;
  std::string expires;
  std::uint64_t blobs = 0;
  std::uint64_t bytes = 0;
  bool active = false;
  bool complete = false;  // every blob is there with its size
  std::string revoked;    // why it may not be activated any more; empty: it may
};

// Ascending by release number. Reads only.
std::vector<SiteRelease> list_releases(const std::filesystem::path& store);

// The last step to another release, or the one under way (bundle/upgrade.h).
struct SiteUpgradeState {
  std::string direction;  // "upgrade", "rollback"; empty: there was none yet
  std::string from;
  std::string to;
  std::string state;   // "running", "going_back": not ended; "done", "rolled_back", "failed"
  std::string step;    // the one that it is at
  std::string reason;  // why it went back or failed
  std::string updated;
};

struct SiteStatus {
  std::string active;  // empty: none
  std::vector<SiteRelease> releases;
  std::string trust_fingerprint;  // empty: no root is pinned
  std::uint64_t trust_version = 0;
  std::uint64_t blobs = 0;  // all in the store
  std::uint64_t bytes = 0;
  std::uint64_t disk_free = 0;
  std::vector<std::string> unfinished;  // bundle ids of imports that have not ended
  SiteUpgradeState upgrade;
  std::vector<std::string> backups;  // names of what backup hooks have left, oldest first
};
SiteStatus site_status(const std::filesystem::path& store);

// The inventory of a site: all blobs of its complete releases, one line each, "sha256:<digest>
// <size>", sorted. A vendor makes deltas from it. Reads only.
std::string site_inventory(const std::filesystem::path& store);

struct StoreProblem {
  std::string release;  // or "pushed REPOSITORY"; empty: a record of pushed content
  std::string digest;
  std::string problem;  // "missing", "has 12 bytes instead of 34", "does not match its digest"
};
struct StoreAudit {
  std::uint64_t blobs = 0;
  std::uint64_t bytes = 0;
  std::vector<StoreProblem> problems;
  std::vector<std::string> leftovers;  // files that belong to nothing
};
// Reads every blob of every release, and every one that was pushed into the registry, and compares
// digests; checks signatures against the pinned root. Changes nothing.
StoreAudit audit_store(const std::filesystem::path& store, unsigned jobs, Progress& progress,
                       const Cancel& cancel);

// What a step to another release is asked with, besides store and version.
struct GateOptions {
  std::filesystem::path site;   // site.yaml; empty: STORE/site.yaml when it is there
  std::filesystem::path hooks;  // folder of preflight hooks; empty: STORE/hooks when it is there
  bool app_only = false;        // Kubernetes stays as it is
  // What runs at the site; empty: what the cluster says, or else that of the active release.
  std::string k8s_version;
  // Why the maintenance windows do not count this time; goes into the audit log when it was needed.
  std::optional<std::string> outside_window;
  // Why a cluster that is not well is no obstacle this time; on record in the same way.
  std::optional<std::string> unhealthy;
  bool restore = false;  // of a rollback: the backup is put back with it
};

// A preflight hook of the site and what came of it.
struct HookReport {
  std::string name;
  std::string state;   // "not_run", "passed", "failed", "timed_out"
  std::string reason;  // why it failed
  double seconds = 0;
  std::string output;  // standard output and error; UTF-8, at most 64 KiB
  bool output_cut = false;
};

struct GateRefusal {
  std::string rule;       // its id: "sequential"; docs/release-spec.md has them all
  std::string reason;     // in words
  std::string next_step;  // what to do about this one
};

struct GateAnswer {
  bool allowed = false;
  std::string from;  // the active release; empty: none
  std::string to;
  std::string reason;     // in words: what is allowed, or every refusal
  std::string next_step;  // the one thing to do next; empty when allowed
  // The same for scripts: "activate", "import", "rollback", "wait", "free-space", "fix-site",
  // "ask-vendor"; and the version for the first three, which may be a pattern or empty.
  std::string next_action;
  std::string next_version;
  ErrorCode error = ErrorCode::gate_refused;  // what activate_release throws when not allowed
  std::vector<std::string> rules;             // ids of the rules that were asked
  std::vector<GateRefusal> refusals;
  std::vector<HookReport> hooks;
  std::vector<std::string> notes;  // what a person should know and that refuses nothing
  bool outside_window = false;     // allowed only because GateOptions::outside_window says so
};

struct Activation {
  std::string from;  // empty: none was active
  std::string to;
  GateAnswer gate;
};
// Makes a complete, imported release the live one if the gates allow the step. `rollback` is a
// deliberate step to an older one; with an empty version, to the newest older one. An upgrade runs
// the preflight hooks, when no other rule refuses it already; their output is also noted to
// `progress`.
// Throws Error{release_unknown|release_incomplete|gate_refused|revoked|config_invalid}, those of
// verification, and Error{cancelled}, after the hook under way was ended.
Activation activate_release(const std::filesystem::path& store, const std::string& version,
                            bool rollback, const GateOptions& options = {},
                            Progress& progress = silent_progress(),
                            const Cancel& cancel = Cancel());

// What activate_release would say now. Reads only, unless `run_hooks`: then the hooks are run,
// which may do anything (take a backup). Throws as activate_release, but a refusal is an answer.
GateAnswer check_gate(const std::filesystem::path& store, const std::string& version, bool rollback,
                      const GateOptions& options = {}, bool run_hooks = false,
                      Progress& progress = silent_progress(), const Cancel& cancel = Cancel());

struct CollectOptions {
  std::size_t keep = 3;             // newest releases, besides the active one: N, N-1, N-2
  std::vector<std::string> remove;  // exactly these instead of counting
  bool drop_unfinished = false;     // also give up imports that have not ended
  bool dry_run = false;
};
struct CollectReport {
  std::vector<std::string> releases;  // removed
  std::uint64_t blobs = 0;
  std::uint64_t bytes = 0;
};
// Removes releases and the blobs that nothing needs any more. Works on a full disk.
CollectReport collect_garbage(const std::filesystem::path& store, const CollectOptions& options);

}  // namespace bundle
