#include "common/print_trust.h"

#include <fmt/format.h>

#include <algorithm>

namespace bundle::tools {
namespace {

std::string key_name(const TrustRootReport& root, const std::string& id) {
  const auto key = std::ranges::find(root.keys, id, &TrustKeyReport::id);
  return key == root.keys.end() || key->minisign_id.empty() ? id.substr(0, 16) : key->minisign_id;
}

}  // namespace

void print_root(const TrustRootReport& root) {
  if (root.version == 0) {
    fmt::print("one public key, {}\n", key_name(root, root.keys.front().id));
  } else {
    fmt::print("trust root {}, expires {}\n", root.version, root.expires);
  }
  fmt::print("  fingerprint: {}\n", root.fingerprint);
  for (const TrustRoleReport& role : root.roles) {
    std::vector<std::string> names;
    for (const std::string& id : role.keys) names.push_back(key_name(root, id));
    fmt::print("  {:<10} {} of {}\n", role.name, role.threshold, fmt::join(names, ", "));
  }
  if (root.missing_own > 0) {
    fmt::print("  NOT COMPLETE: {} more of its own root keys must sign\n", root.missing_own);
  }
  if (root.missing_previous > 0) {
    fmt::print("  NOT COMPLETE: {} more root keys of the root before must sign\n",
               root.missing_previous);
  }
}

}  // namespace bundle::tools
