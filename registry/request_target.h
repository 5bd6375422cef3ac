// The request target of HTTP ("/v2/library/redis/manifests/7.2?ns=docker.io") as a route.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "registry/failure.h"

namespace bundle::registry {

enum class RouteKind : std::uint8_t {
  status_page,  // /
  health,       // /healthz
  ready,        // /readyz
  metrics,      // /metrics
  base,         // /v2/
  manifest,     // /v2/<name>/manifests/<reference>
  blob,         // /v2/<name>/blobs/<digest>
  tags,         // /v2/<name>/tags/list
  referrers,    // /v2/<name>/referrers/<digest>
  upload,       // /v2/<name>/blobs/uploads/<id>, or without an id
};
std::string_view route_name(RouteKind kind);

struct Route {
  RouteKind kind = RouteKind::base;
  std::string name;       // repository; may begin with the host of the full name
  std::string reference;  // tag, digest or upload; checked by the one who looks it up
  // Query parameters that mean something here. Others are ignored: containerd and proxies add some.
  std::optional<std::string> ns;             // containerd: the original registry of the image
  std::optional<std::string> n;              // tags: page size, as written
  std::optional<std::string> last;           // tags: continue after this one
  std::optional<std::string> artifact_type;  // referrers: filter
  std::optional<std::string> digest;         // upload: what it shall be
  std::optional<std::string> mount;          // upload: the blob of another repository
  std::optional<std::string> from;           // upload: that repository

  // The repository's full name, when it is not one of a release: with the host that `ns` names.
  std::string full_name() const { return ns ? *ns + "/" + name : name; }
};

// distribution-spec, <name>. The first component may also be a host with a port, because
// "<host>/<repository>" names a repository here too.
bool is_valid_name(std::string_view name);

// Takes anything that a client can send: never throws but bad_alloc. A '+' in a query value is a
// plus (media types have it and no parameter here holds spaces). An encoded slash is refused, so
// that two spellings never mean two things to a proxy and to us.
std::variant<Route, Failure> parse_request_target(std::string_view target);

}  // namespace bundle::registry
