// What a support engineer asks of a site: one file of a release, and an archive that says how the
// site is without telling its secrets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bundle/progress.h"

namespace bundle {

struct ExtractReport {
  std::filesystem::path file;
  std::string release;
  std::uint64_t bytes = 0;
  std::string sha256;  // 64 hex digits
};
// Writes a file of a release (os, k8s or files: "k3s", "install.sh") with its mode, after its
// digest was compared; an existing file is replaced by a rename, or kept when a digest differs.
// `release` empty: the live one. `out` may be a folder. Throws
// Error{release_unknown|not_found|store_corrupt|no_space|read_only|io_error} and those of
// verification.
ExtractReport extract_file(const std::filesystem::path& store, const std::string& release,
                           const std::string& name, const std::filesystem::path& out);

struct SupportBundleOptions {
  std::filesystem::path store;
  std::filesystem::path out;   // gets a gzip-compressed tar, mode 0600
  std::filesystem::path site;  // site.yaml; empty: STORE/site.yaml when it is there
  // systemd units whose state and log go in; empty: kSupportUnits, those that exist.
  std::vector<std::string> units;
  unsigned log_lines = 2000;  // of each unit, the newest
  bool audit = true;          // read every blob of the store, which takes a while
  std::string tool_version;
};
inline constexpr const char* kSupportUnits[] = {"bundle-registry.service", "mirror-sync.service",
                                                "k3s.service", "k3s-agent.service"};

struct SupportBundleReport {
  std::filesystem::path file;
  std::uint64_t bytes = 0;
  std::vector<std::string> entries;
  std::vector<std::string> notes;  // what could not be had, and why
  std::uint64_t removed = 0;       // secrets that were taken out
};
// Versions, audit log, store audit, state of the last upgrade, of the cluster, of units and their
// logs. Never in it: keys, kubeconfig, tokens, backups, hooks. Every text passes a filter that
// takes out what looks like a secret, and every secret of this site that it can read itself. A part
// that cannot be had is a note. Throws Error{store_invalid|no_space|read_only|io_error|cancelled}.
// Peak memory: about four times the largest part, which is at most kMaxSupportPart.
SupportBundleReport write_support_bundle(const SupportBundleOptions& options, Progress& progress,
                                         const Cancel& cancel);
inline constexpr std::uint64_t kMaxSupportPart = 8ull * 1024 * 1024;

}  // namespace bundle
