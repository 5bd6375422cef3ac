// What a site says about itself: site.yaml. Its keys: docs/operator-guide.md, "Rules of the site",
// and schemas/site.schema.json.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "codec/json.h"
#include "release/site_cluster.h"

namespace bundle::release {

// A time of the week in which upgrades may happen. UTC, whole minutes.
struct MaintenanceWindow {
  std::uint8_t days = kEveryDay;  // on which it opens; bit 0 is Monday
  std::uint16_t from = 0;         // minutes after midnight
  std::uint16_t to = 0;           // of the next day when not after `from`

  static constexpr std::uint8_t kEveryDay = 0x7F;

  bool is_open(UnixTime time) const;
  // When it opens next, after `time`.
  UnixTime next_opening(UnixTime time) const;
  std::string text() const;  // "sat sun 22:00-02:00 UTC"
  bool operator==(const MaintenanceWindow&) const = default;
};

// Where the site's cluster gets the desired state, charts and images from, and what it trusts.
struct SiteSource {
  std::string url;             // "https://registry.example.com:5000", no path; empty: not said
  std::string tag = "active";  // of <product>/flux; another one at a site that follows the vendor
  bool ca = false;             // the registry's certificate is of an authority of its own
  bool login = false;          // the registry wants a user and a password
  bool verify = true;          // signatures for the cluster are checked
  std::string git_url;         // empty: no Git repository
  std::string git_branch = "main";
  bool git_login = false;
};

struct SiteConfig {
  std::string profile;                  // of values; empty: the release's
  std::vector<std::string> host_names;  // of the appliance; the first one is its own
  std::string storage_class = "local-path";
  SiteSource source;
  std::string platform;  // of the site's nodes, "linux/amd64"; empty: of this machine
  std::vector<MaintenanceWindow> maintenance_windows;  // empty: the site has not fixed any
  std::chrono::seconds hook_time_limit{900};           // for each hook
  std::optional<ClusterSettings> cluster;              // nothing: upgrades do not wait
  std::optional<K3sSettings> k3s;                      // nothing: upgrades leave k3s alone
};

// Of {days, from, to} as the schemas have it.
MaintenanceWindow read_window(const codec::Json& json);

inline constexpr std::size_t kMaxSiteConfigBytes = 64 * 1024;

// Throws Error{config_invalid} with file:line:column, Error{limit}. `file` names the text.
SiteConfig parse_site_config(std::string_view text, const std::string& file);

}  // namespace bundle::release
