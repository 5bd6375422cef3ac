#include "release/gate_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "codec/json_pointer.h"

namespace bundle::release {
namespace {

using codec::Json;
using codec::pointer_append;

constexpr std::uint64_t kMaxDisk = (std::uint64_t{1} << 53) - 1;  // what JSON readers keep exact

Json to_json(const std::vector<std::string>& texts) {
  Json out = Json::array();
  for (const std::string& text : texts) out.push_back(text);
  return out;
}

std::vector<std::string> read_strings(const Json* list) {
  std::vector<std::string> out;
  if (list == nullptr) return out;
  for (const Json& item : list->as_array()) out.push_back(item.as_string());
  return out;
}

bool read_flag(const Json& gates, const char* key) {
  const Json* value = gates.find(key);
  return value != nullptr && value->as_bool();
}

bool matches(const std::string& pattern, const SemVer& version) {
  const auto parsed = VersionPattern::parse(pattern);
  return parsed && parsed->matches(version);
}

// "20GiB", as the schema of release.yaml writes it. Nothing when it is more than a disk can have.
std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::pair<std::string_view, unsigned> kUnits[] = {
      {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  for (const auto& [unit, shift] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const std::string_view digits = text.substr(0, text.size() - unit.size());
    std::uint64_t value = 0;
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (failure != std::errc{} || value > kMaxDisk >> shift) return std::nullopt;
    return value << shift;
  }
  return std::nullopt;
}

class Reader {
 public:
  Reader(const Json& gates, const GateProblem& problem) : gates_(gates), problem_(problem) {}

  GateRules read() {
    GateRules rules;
    if (const Json* window = gates_.find("supportWindow")) {
      rules.support_window = static_cast<std::uint32_t>(window->as_size());
    }
    rules.required_releases = read_strings(gates_.find("requiredReleases"));
    rules.compatibility = read_compatibility();
    rules.platforms = read_strings(gates_.find("platforms"));
    rules.disk_free = read_disk();
    rules.backup = read_flag(gates_, "backup");
    rules.maintenance_window = read_flag(gates_, "maintenanceWindow");
    rules.point_of_no_return = gates_.string_or("pointOfNoReturn", "");
    return rules;
  }

 private:
  std::vector<CompatibilityRow> read_compatibility() const {
    std::vector<CompatibilityRow> rows;
    const Json* list = gates_.find("compatibility");
    if (list == nullptr) return rows;
    for (const Json& item : list->as_array()) {
      const std::string pointer = pointer_append("/compatibility", rows.size());
      rows.push_back({item.at("app").as_string(), read_strings(&item.at("k8s"))});
      check_pattern(rows.back().app, pointer + "/app");
      for (std::size_t i = 0; i < rows.back().k8s.size(); ++i) {
        check_pattern(rows.back().k8s[i], pointer_append(pointer + "/k8s", i));
      }
    }
    return rows;
  }

  std::uint64_t read_disk() const {
    const Json* disk = gates_.find("diskFree");
    if (disk == nullptr) return 0;
    if (disk->is_int()) return disk->as_size();
    const auto size = parse_size(disk->as_string());
    if (!size) problem_("/diskFree", fmt::format("'{}' is too much", disk->as_string()));
    return size.value_or(0);
  }

  void check_pattern(const std::string& text, const std::string& pointer) const {
    if (VersionPattern::parse(text)) return;
    problem_(
        pointer,
        fmt::format("'{}' is no version (1.31.6), pattern (1.31.x) or range (>=1.30.4 <1.32.0)",
                    text));
  }

  const Json& gates_;
  const GateProblem& problem_;
};

void check_required(const GateRules& rules, const SemVer& version, const GateProblem& problem) {
  for (std::size_t i = 0; i < rules.required_releases.size(); ++i) {
    const std::string& text = rules.required_releases[i];
    const auto required = SemVer::parse(text);
    if (required && compare(*required, version) < 0) continue;
    problem(pointer_append("/requiredReleases", i),
            required ? fmt::format("{} is not older than this release", text)
                     : fmt::format("'{}' is not a SemVer 2 version like 1.3.4", text));
  }
}

void check_no_return(const GateRules& rules, const SemVer& version, const GateProblem& problem) {
  if (rules.point_of_no_return.empty()) return;
  const auto first = SemVer::parse(rules.point_of_no_return);
  if (first && compare(*first, version) <= 0) return;
  problem("/pointOfNoReturn",
          first
              ? fmt::format("{} is newer than this release", rules.point_of_no_return)
              : fmt::format("'{}' is not a SemVer 2 version like 1.3.4", rules.point_of_no_return));
}

}  // namespace

std::string human_size(std::uint64_t bytes) {
  constexpr double kMiB = 1 << 20;
  const double mebibytes = static_cast<double>(bytes) / kMiB;
  return mebibytes < 1024 ? fmt::format("{:.1f} MiB", mebibytes)
                          : fmt::format("{:.1f} GiB", mebibytes / 1024);
}

bool GateRules::compatible(const SemVer& app, const K3sVersion& k8s) const {
  return compatibility.empty() || std::ranges::any_of(compatibility, [&](const auto& row) {
           return matches(row.app, app) && std::ranges::any_of(row.k8s, [&](const auto& pattern) {
                    return matches(pattern, k8s.kubernetes);
                  });
         });
}

Json to_json(const GateRules& rules) {
  Json out = Json::object();
  if (rules.support_window) out.set("supportWindow", std::uint64_t{*rules.support_window});
  if (!rules.required_releases.empty()) {
    out.set("requiredReleases", to_json(rules.required_releases));
  }
  if (!rules.compatibility.empty()) {
    Json rows = Json::array();
    for (const CompatibilityRow& row : rules.compatibility) {
      Json entry = Json::object();
      entry.set("app", row.app).set("k8s", to_json(row.k8s));
      rows.push_back(std::move(entry));
    }
    out.set("compatibility", std::move(rows));
  }
  if (!rules.platforms.empty()) out.set("platforms", to_json(rules.platforms));
  if (rules.disk_free > 0) out.set("diskFree", rules.disk_free);
  if (rules.backup) out.set("backup", true);
  if (rules.maintenance_window) out.set("maintenanceWindow", true);
  if (!rules.point_of_no_return.empty()) out.set("pointOfNoReturn", rules.point_of_no_return);
  return out;
}

GateRules read_gate_rules(const Json& gates, std::string_view version, std::string_view k8s_version,
                          const GateProblem& problem) {
  GateRules rules = Reader(gates, problem).read();
  const auto app = SemVer::parse(version);
  const auto k8s = K3sVersion::parse(k8s_version);
  if (!app || !k8s) return rules;  // told by whoever reads these two
  check_required(rules, *app, problem);
  check_no_return(rules, *app, problem);
  if (!rules.compatible(*app, *k8s)) {
    problem("/compatibility", fmt::format("no row lets this release ({}) run on its own Kubernetes "
                                          "({})",
                                          version, k8s_version));
  }
  return rules;
}

}  // namespace bundle::release
