// How registries are reached: credentials, authorities, and who is spoken to without TLS.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bundle {

// Proxies are taken from the environment (https_proxy).
struct RegistryAccess {
  std::filesystem::path auth_file;  // as docker's config.json; empty: where docker and podman look
  std::vector<std::string> insecure;  // hosts that are spoken to without TLS
  std::filesystem::path ca_file;      // PEM; extra to the system's
};

}  // namespace bundle
