// What mirror-sync is told: mirror.yaml. Its keys: docs/mirror.md and schemas/mirror.schema.json.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/file_system.h"
#include "release/site_config.h"
#include "release/version.h"

namespace bundle::release {

struct MirrorOrigin {
  std::string name;
  std::string address;
  Path ca;
  Path credentials;
  std::string s3_region;  // requests are signed for it; empty: not
};

struct MirrorStore {
  std::string name;
  Path path;
  Path trust;          // pinned at the first sync
  bool serve = false;  // origin.json and news are kept in it, for a web server in front
};

// A registry that gets what a store has.
struct MirrorRegistry {
  std::string name;
  std::string address;  // REGISTRY[/PREFIX]
  Path ca;
  Path auth_file;
  bool insecure = false;          // spoken to without TLS
  bool repository_names = false;  // without the registry that an image comes from
  bool single_platform = false;
};

struct Mirror {
  std::string origin;
  std::vector<std::string> stores;
  std::vector<std::string> registries;  // get the channel's release from the first store
  std::vector<std::string> channels;
  std::vector<VersionPattern> versions;  // further releases besides those of the channels
  std::size_t keep = 0;                  // newest releases that stay in the stores; 0: all
};

struct MirrorConfig {
  Path state;
  Path metrics;  // empty: none
  std::vector<MirrorOrigin> origins;
  std::vector<MirrorStore> stores;
  std::vector<MirrorRegistry> registries;
  std::vector<Mirror> mirrors;
  std::uint64_t bytes_per_second = 0;
  unsigned connections = 4;
  std::vector<MaintenanceWindow> windows;
  Path hooks;
  std::chrono::seconds hook_time_limit{900};

  // Names in `mirrors` are known ones.
  const MirrorOrigin& origin(std::string_view name) const;
  const MirrorStore& store(std::string_view name) const;
  const MirrorRegistry& registry(std::string_view name) const;
};

inline constexpr std::size_t kMaxMirrorConfigBytes = 4 * 1024 * 1024;

// Throws Error{config_invalid} with file:line:column, Error{limit}. `file` names the text.
MirrorConfig parse_mirror_config(std::string_view text, const std::string& file);

}  // namespace bundle::release
