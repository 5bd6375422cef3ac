// What a vendor demands of a site before a release becomes the live one, as data: the key `gates`
// of release.yaml and of the signed manifest. release/gate.h applies it. Keys and their meaning:
// docs/release-spec.md, "gates".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "release/version.h"

namespace bundle::release {

// One row of the matrix: these releases of the application run on these versions of Kubernetes.
struct CompatibilityRow {
  std::string app;               // a VersionPattern
  std::vector<std::string> k8s;  // VersionPatterns; "1.31.x" matches v1.31.6+k3s1
  bool operator==(const CompatibilityRow&) const = default;
};

struct GateRules {
  // Minor releases behind N that are supported; kDefaultSupportWindow when the vendor gave none.
  std::optional<std::uint32_t> support_window;
  std::vector<std::string> required_releases;   // versions that no upgrade may pass by
  std::vector<CompatibilityRow> compatibility;  // empty: every combination
  std::vector<std::string> platforms;           // "linux/amd64"; empty: any
  std::uint64_t disk_free = 0;                  // bytes that must be free in the site's store
  bool backup = false;                          // a backup hook must have succeeded
  bool maintenance_window = false;              // only inside one of the site's windows
  // The first release whose data older ones cannot read: this one or an older one. No way back to
  // before it, unless the backup is put back, too. Empty: there is a way back.
  std::string point_of_no_return;

  bool empty() const { return *this == GateRules{}; }
  // Whether the matrix lets this release run on this Kubernetes.
  bool compatible(const SemVer& app, const K3sVersion& k8s) const;
  bool operator==(const GateRules&) const = default;
};

inline constexpr std::uint32_t kDefaultSupportWindow = 2;  // N, N-1, N-2

codec::Json to_json(const GateRules& rules);

// Told of each value that a schema cannot refuse: its JSON pointer below `gates`, and what is
// wrong.
using GateProblem = std::function<void(const std::string& pointer, const std::string& message)>;

// Reads what the schema of release-spec or release-manifest has accepted. `version` and
// `k8s_version` are the release's own: its matrix must allow them, and the releases that it
// requires come before it.
GateRules read_gate_rules(const codec::Json& gates, std::string_view version,
                          std::string_view k8s_version, const GateProblem& problem);

// "512.0 MiB", "20.0 GiB": of disks, for people.
std::string human_size(std::uint64_t bytes);

}  // namespace bundle::release
