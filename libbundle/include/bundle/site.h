// A site store: what is there, which release is live, and keeping it in order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

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

struct SiteStatus {
  std::string active;  // empty: none
  std::vector<SiteRelease> releases;
  std::string trust_fingerprint;  // empty: no root is pinned
  std::uint64_t trust_version = 0;
  std::uint64_t blobs = 0;  // all in the store
  std::uint64_t bytes = 0;
  std::uint64_t disk_free = 0;
  std::vector<std::string> unfinished;  // bundle ids of imports that have not ended
};
SiteStatus site_status(const std::filesystem::path& store);

struct StoreProblem {
  std::string release;
  std::string digest;
  std::string problem;  // "missing", "has 12 bytes instead of 34", "does not match its digest"
};
struct StoreAudit {
  std::uint64_t blobs = 0;
  std::uint64_t bytes = 0;
  std::vector<StoreProblem> problems;
  std::vector<std::string> leftovers;  // files that belong to nothing
};
// Reads every blob of every release and compares digests; checks signatures against the pinned
// root. Changes nothing.
StoreAudit audit_store(const std::filesystem::path& store, unsigned jobs, Progress& progress,
                       const Cancel& cancel);

struct Activation {
  std::string from;  // empty: none was active
  std::string to;
};
// Makes a complete, imported release the live one if the gates allow the step. `rollback` is a
// deliberate step to an older one; with an empty version, to the newest older one.
// Throws Error{release_unknown|release_incomplete|gate_refused|revoked}.
Activation activate_release(const std::filesystem::path& store, const std::string& version,
                            bool rollback);

struct GateAnswer {
  bool allowed = false;
  std::string reason;
  std::string next_step;
};
// What activate_release would say.
GateAnswer check_gate(const std::filesystem::path& store, const std::string& version, bool rollback);

struct CollectOptions {
  std::size_t keep = 3;  // newest releases, besides the active one: N, N-1, N-2
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
