// Mirroring: channels of origins into site stores, by a configuration (docs/mirror.md). What is
// fetched is taken in by import_release(): the same trust, the same plan, the same engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bundle/progress.h"

namespace bundle {

struct MirrorOptions {
  std::filesystem::path config;     // mirror.yaml
  std::vector<std::string> stores;  // only these; none: all
  bool dry_run = false;             // only tell what would be fetched
  bool outside_window = false;      // do not look at the configured windows
};

// One release for one store or registry.
struct MirroredRelease {
  std::string origin;
  std::string channel;
  std::string store;
  std::string version;  // empty when it is not known
  // "current": there already; "synced"; "pending": a dry run found it; "failed"
  std::string state;
  std::uint64_t bytes_fetched = 0;  // pending: that would be fetched
  std::uint64_t bytes_new = 0;      // of blobs
  std::string removed;              // old versions that went, for people
  // Of a failure, as in bundle/error.h.
  int exit_status = 0;
  std::string message;
  std::string hint;
  // `store` is a registry: the release was pushed into it from a store, and nothing was fetched.
  bool to_registry = false;
  std::uint64_t bytes_sent = 0;  // pending: that would be sent
};

struct MirrorReport {
  std::string started;  // RFC 3339
  double seconds = 0;
  bool outside_window = false;  // nothing was done
  bool dry_run = false;
  std::uint64_t requests = 0;  // for channels
  std::vector<MirroredRelease> releases;
  std::vector<std::string> notes;  // what a person should know and that is no failure

  // The exit status of the first failure; 0 without one.
  int exit_status() const {
    for (const MirroredRelease& release : releases) {
      if (release.exit_status != 0) return release.exit_status;
    }
    return 0;
  }
};

// One failed release does not stop the others; what was running when `cancel` came is told as
// failed, the rest is left. Reads no blob when nothing is new: one conditional request a channel
// and one look at the release's folder a store. Writes the report into the state folder and the
// metrics. Throws Error{config_invalid, limit, busy} and what reading the configuration throws;
// never for a release. Memory: as import_release.
MirrorReport run_mirror(const MirrorOptions& options, Progress& progress, const Cancel& cancel);

// The report of the last run that was no dry run. Throws Error{not_found} before the first.
MirrorReport mirror_status(const std::filesystem::path& config);

struct MirrorProblem {
  std::string store;
  std::string release;
  std::string digest;
  std::string problem;
  bool repaired = false;
};
struct MirrorCheck {
  std::uint64_t blobs = 0;
  std::uint64_t bytes = 0;
  std::vector<MirrorProblem> problems;
  // Problems that were not repaired.
  std::size_t left() const {
    std::size_t count = 0;
    for (const MirrorProblem& problem : problems) count += problem.repaired ? 0 : 1;
    return count;
  }
};
// Compares every blob of every store with the signed state. With `repair` damaged releases are
// fetched again from their origins, only what is damaged or missing. Throws as run_mirror.
MirrorCheck check_mirror(const MirrorOptions& options, bool repair, Progress& progress,
                         const Cancel& cancel);

}  // namespace bundle
