#include "source/trust_report.h"

#include <algorithm>

#include "base/time.h"

namespace bundle::source {

TrustRootReport describe_root(const trust::RootMetadata& root, const std::string& fingerprint) {
  TrustRootReport report;
  report.version = root.version;
  report.fingerprint = fingerprint;
  if (root.expires) report.expires = format_time(*root.expires);
  for (const auto& [id, key] : root.keys) {
    TrustKeyReport entry{id, key.minisign_id ? key.minisign_id->text() : "", {}};
    for (const auto& [name, role] : root.roles) {
      if (std::ranges::find(role.key_ids, id) != role.key_ids.end()) entry.roles.push_back(name);
    }
    report.keys.push_back(std::move(entry));
  }
  for (const auto& [name, role] : root.roles) {
    report.roles.push_back({name, role.threshold, role.key_ids});
  }
  return report;
}

std::string base_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

}  // namespace bundle::source
