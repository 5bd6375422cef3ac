#include "transfer/registry_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "transfer/http_error.h"

namespace bundle::transfer {
namespace {

// docker.io is a name; the API of that registry lives elsewhere.
std::string api_host(const std::string& registry) {
  return registry == "docker.io" ? "registry-1.docker.io" : registry;
}

std::string without_port(const std::string& registry) {
  const std::size_t colon = registry.rfind(':');
  const std::size_t bracket = registry.rfind(']');  // the colons of an IPv6 address come before
  if (colon == std::string::npos || (bracket != std::string::npos && colon < bracket)) {
    return registry;
  }
  return registry.substr(0, colon);
}

}  // namespace

RegistryClient::RegistryClient(FileSystem& fs, RegistryOptions options)
    : insecure_registries_(std::move(options.insecure_registries)),
      http_(std::move(options.http)),
      auth_(http_, CredentialStore(fs, std::move(options.auth_file))) {}

bool RegistryClient::is_insecure(const std::string& registry) const {
  const auto listed = [this](const std::string& name) {
    return std::ranges::find(insecure_registries_, name) != insecure_registries_.end();
  };
  return listed(registry) || listed(without_port(registry));
}

std::string RegistryClient::url(const oci::ImageName& name, const std::string& path) const {
  return fmt::format("{}://{}/v2/{}/{}", is_insecure(name.registry) ? "http" : "https",
                     api_host(name.registry), name.repository, path);
}

std::unique_ptr<HttpResponse> RegistryClient::send(const oci::ImageName& name, HttpRequest request,
                                                   const std::string& actions) {
  const AuthTarget target{name.registry, name.repository, actions, is_insecure(name.registry)};
  const std::string origin = Url::parse(request.url, name.repository_text()).origin();
  if (origin != Url::parse(url(name, {}), name.repository_text()).origin()) {
    request.headers.remove("Authorization");
    return http_.send(request);
  }
  const auto attempt = [&](const std::string& header) {
    request.headers.remove("Authorization");
    if (!header.empty()) request.headers.add("Authorization", header);
    return http_.send(request);
  };
  std::unique_ptr<HttpResponse> response = attempt(auth_.header(target));
  // A 401 of a storage service that we were redirected to is no question for our credentials.
  if (response->status() != 401 || response->url().origin() != origin) return response;
  response = attempt(auth_.answer(target, *response));
  if (response->status() == 401) throw_status(*response, "use " + name.repository_text());
  return response;
}

}  // namespace bundle::transfer
