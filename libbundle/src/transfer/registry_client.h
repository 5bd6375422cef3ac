// Requests to OCI registries: addresses, credentials, tokens.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/reference.h"
#include "transfer/http_client.h"
#include "transfer/registry_auth.h"

namespace bundle::transfer {

// Token scope of everything that writes.
inline constexpr std::string_view kPushActions = "pull,push";

struct RegistryOptions {
  std::optional<Path> auth_file;                 // --authfile
  std::vector<std::string> insecure_registries;  // "host" or "host:port" spoken to by plain http
  HttpOptions http;
};

// Shared by all sources of a run, so that connections and tokens are shared too. Thread-safe.
class RegistryClient {
 public:
  RegistryClient(FileSystem& fs, RegistryOptions options);

  // "https://registry-1.docker.io/v2/library/redis/" + `path` for docker.io; plain http only for
  // hosts that the options list.
  std::string url(const oci::ImageName& name, const std::string& path) const;
  // Sends with credentials; one 401 is answered by new ones. Any other status is returned. A
  // request to another host (where a registry sends an upload) goes without.
  // `actions` as in token scopes ("pull", "pull,push").
  std::unique_ptr<HttpResponse> send(const oci::ImageName& name, HttpRequest request,
                                     const std::string& actions = "pull");
  const HttpOptions& http_options() const { return http_.options(); }

 private:
  bool is_insecure(const std::string& registry) const;

  std::vector<std::string> insecure_registries_;
  HttpClient http_;
  RegistryAuth auth_;
};

}  // namespace bundle::transfer
