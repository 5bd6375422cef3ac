#include "release/site_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"
#include "codec/schema.h"
#include "codec/yaml.h"

namespace bundle::release {
namespace {

using codec::Json;

constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
constexpr int kMinutesPerDay = 24 * 60;
constexpr int kMinutesPerWeek = 7 * kMinutesPerDay;
constexpr UnixTime kSecondsPerMinute = 60;

// Monday 00:00 is 0. 1970-01-01 was a Thursday.
int minute_of_week(UnixTime time) {
  const UnixTime minutes = time / kSecondsPerMinute + UnixTime{3} * kMinutesPerDay;
  return static_cast<int>(((minutes % kMinutesPerWeek) + kMinutesPerWeek) % kMinutesPerWeek);
}

// Minutes from `from` forward to `to`, both in the week.
int forward(int from, int to) {
  return (to - from + kMinutesPerWeek) % kMinutesPerWeek;
}

template <typename Use>
void for_each_opening(const MaintenanceWindow& window, Use use) {
  for (int day = 0; day < 7; ++day) {
    if ((window.days >> day & 1) != 0) use(day * kMinutesPerDay + window.from);
  }
}

// "22:30", as the schema has it.
std::uint16_t read_minute(const std::string& text) {
  const int hours = (text[0] - '0') * 10 + (text[1] - '0');
  const int minutes = (text[3] - '0') * 10 + (text[4] - '0');
  return static_cast<std::uint16_t>(hours * 60 + minutes);
}

bool flag_or(const Json& object, std::string_view key, bool otherwise) {
  const Json* value = object.find(key);
  return value != nullptr ? value->as_bool() : otherwise;
}

SiteSource read_source(const Json& json) {
  SiteSource source;
  source.url = json.string_or("url", "");
  if (source.url.ends_with('/')) source.url.pop_back();
  source.tag = json.string_or("tag", source.tag);
  source.ca = flag_or(json, "ca", source.ca);
  source.login = flag_or(json, "login", source.login);
  source.verify = flag_or(json, "verify", source.verify);
  if (const Json* git = json.find("git")) {
    source.git_url = git->at("url").as_string();
    source.git_branch = git->string_or("branch", source.git_branch);
    source.git_login = flag_or(*git, "login", source.git_login);
  }
  return source;
}

}  // namespace

MaintenanceWindow read_window(const Json& json) {
  MaintenanceWindow window;
  window.from = read_minute(json.at("from").as_string());
  window.to = read_minute(json.at("to").as_string());
  if (const Json* days = json.find("days")) {
    window.days = 0;
    for (const Json& day : days->as_array()) {
      const auto at = std::ranges::find(kDays, day.as_string()) - kDays.begin();
      window.days = static_cast<std::uint8_t>(window.days | 1U << at);
    }
  }
  return window;
}

bool MaintenanceWindow::is_open(UnixTime time) const {
  const int length = from < to ? to - from : to - from + kMinutesPerDay;
  const int now = minute_of_week(time);
  bool open = false;
  for_each_opening(*this, [&](int opening) { open = open || forward(opening, now) < length; });
  return open;
}

UnixTime MaintenanceWindow::next_opening(UnixTime time) const {
  const int now = minute_of_week(time);
  int wait = kMinutesPerWeek;
  for_each_opening(*this, [&](int opening) {
    const int distance = forward(now, opening);
    wait = std::min(wait, distance == 0 ? kMinutesPerWeek : distance);
  });
  return time - time % kSecondsPerMinute + wait * kSecondsPerMinute;
}

std::string MaintenanceWindow::text() const {
  std::vector<std::string_view> names;
  for (std::size_t day = 0; day < kDays.size(); ++day) {
    if (days != kEveryDay && (days >> day & 1) != 0) names.push_back(kDays[day]);
  }
  return fmt::format("{}{}{:02}:{:02}-{:02}:{:02} UTC", fmt::join(names, " "),
                     names.empty() ? "" : " ", from / 60, from % 60, to / 60, to % 60);
}

SiteConfig parse_site_config(std::string_view text, const std::string& file) {
  const codec::YamlDocument document =
      codec::parse_yaml(text, file, ErrorCode::config_invalid, {kMaxSiteConfigBytes});
  const auto violations = codec::Schema::builtin("site").check(document.root());
  if (!violations.empty()) {
    const codec::Violation& first = violations.front();
    throw Error(
        ErrorCode::config_invalid,
        fmt::format("{}: {} {}", document.where(first.pointer), first.pointer, first.message),
        "Correct the named line; the operator's guide shows a site.yaml.");
  }
  const Json& root = document.root();
  SiteConfig config;
  config.platform = root.string_or("platform", "");
  config.profile = root.string_or("profile", "");
  if (const Json* names = root.find("hostNames")) {
    for (const Json& name : names->as_array()) config.host_names.push_back(name.as_string());
  }
  if (const Json* storage = root.find("storage")) {
    config.storage_class = storage->string_or("class", config.storage_class);
  }
  if (const Json* source = root.find("source")) config.source = read_source(*source);
  if (const Json* windows = root.find("maintenanceWindows")) {
    for (const Json& window : windows->as_array()) {
      config.maintenance_windows.push_back(read_window(window));
    }
  }
  if (const Json* hooks = root.find("hooks")) {
    if (const Json* seconds = hooks->find("timeLimitSeconds")) {
      config.hook_time_limit = std::chrono::seconds(seconds->as_int());
    }
  }
  config.cluster = read_cluster_settings(root);
  config.k3s = read_k3s_settings(root);
  return config;
}

}  // namespace bundle::release
