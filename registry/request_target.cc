#include "registry/request_target.h"

#include <algorithm>
#include <utility>

#include "oci/reference.h"
#include "registry/request_limits.h"

namespace bundle::registry {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing when an escape is malformed or when a byte is not printable ASCII. In a path an escaped
// slash is refused too; in a query value (a media type) it is a letter like any other.
std::optional<std::string> decode(std::string_view text, bool slash_may_be_escaped) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      if (c == '/' && !slash_may_be_escaped) return std::nullopt;
      i += 2;
    }
    if (c <= ' ' || c > '~') return std::nullopt;
    out.push_back(c);
  }
  return out;
}

Failure bad_target(std::string message) {
  return Failure{400, error_code::kUnsupported, std::move(message)};
}

// "http://host/path" is a legal spelling of "/path" (RFC 9112, absolute-form).
std::string_view strip_authority(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const std::size_t slash = target.find('/', scheme.size());
    return slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  return target;
}

// False when a value is malformed.
bool parse_query(std::string_view query, Route& route) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = pair.substr(0, equals);
    std::optional<std::string>* field = key == "ns"             ? &route.ns
                                        : key == "n"            ? &route.n
                                        : key == "last"         ? &route.last
                                        : key == "artifactType" ? &route.artifact_type
                                        : key == "digest"       ? &route.digest
                                        : key == "mount"        ? &route.mount
                                        : key == "from"         ? &route.from
                                                                : nullptr;
    if (field == nullptr || field->has_value()) continue;
    auto value = decode(pair.substr(equals + 1), /*slash_may_be_escaped=*/true);
    if (!value) return false;
    *field = std::move(*value);
  }
  return true;
}

std::variant<Route, Failure> parse_v2(const std::string& path, Route route) {
  const std::string_view rest = std::string_view(path).substr(std::string_view("/v2/").size());
  const auto finish = [&](RouteKind kind, std::string_view name,
                          std::string_view reference) -> std::variant<Route, Failure> {
    if (!is_valid_name(name)) {
      return Failure{400, error_code::kNameInvalid, "this is not a valid repository name"};
    }
    if (route.ns && !oci::is_valid_registry(*route.ns)) {
      return Failure{400, error_code::kNameInvalid, "the ns parameter is not a registry host"};
    }
    route.kind = kind;
    route.name = name;
    route.reference = reference;
    return route;
  };
  static constexpr std::string_view kTags = "/tags/list";
  if (rest.ends_with(kTags)) {
    return finish(RouteKind::tags, rest.substr(0, rest.size() - kTags.size()), {});
  }
  static constexpr std::string_view kUploads = "/blobs/uploads";
  if (rest.ends_with(kUploads)) {
    return finish(RouteKind::upload, rest.substr(0, rest.size() - kUploads.size()), {});
  }
  const std::size_t slash = rest.rfind('/');
  if (slash != std::string_view::npos) {
    const std::string_view head = rest.substr(0, slash);
    const std::string_view reference = rest.substr(slash + 1);
    for (const auto& [word, kind] :
         {std::pair{std::string_view("/manifests"), RouteKind::manifest},
          std::pair{std::string_view("/blobs"), RouteKind::blob},
          std::pair{kUploads, RouteKind::upload},
          std::pair{std::string_view("/referrers"), RouteKind::referrers}}) {
      if (head.ends_with(word)) {
        return finish(kind, head.substr(0, head.size() - word.size()), reference);
      }
    }
  }
  return Failure{404, error_code::kUnsupported, "this registry has no such address"};
}

}  // namespace

std::string_view route_name(RouteKind kind) {
  switch (kind) {
    case RouteKind::status_page:
      return "status_page";
    case RouteKind::health:
      return "health";
    case RouteKind::ready:
      return "ready";
    case RouteKind::metrics:
      return "metrics";
    case RouteKind::base:
      return "base";
    case RouteKind::manifest:
      return "manifest";
    case RouteKind::blob:
      return "blob";
    case RouteKind::tags:
      return "tags";
    case RouteKind::referrers:
      return "referrers";
    case RouteKind::upload:
      return "upload";
  }
  return "unknown";
}

bool is_valid_name(std::string_view name) {
  if (name.size() > kMaxNameBytes) return false;
  if (oci::is_valid_repository(name)) return true;
  const std::size_t slash = name.find('/');
  return slash != std::string_view::npos && oci::is_valid_registry(name.substr(0, slash)) &&
         oci::is_valid_repository(name.substr(slash + 1));
}

std::variant<Route, Failure> parse_request_target(std::string_view target) {
  if (target.size() > kMaxTargetBytes) {
    return Failure{414, error_code::kUnsupported, "the address is too long"};
  }
  target = strip_authority(target);
  if (!target.starts_with('/')) return bad_target("the address does not begin with a slash");
  const std::size_t mark = target.find('?');
  const auto path = decode(target.substr(0, mark), /*slash_may_be_escaped=*/false);
  if (!path) return bad_target("the address has a character or an escape that no address here has");
  Route route;
  if (mark != std::string_view::npos && !parse_query(target.substr(mark + 1), route)) {
    return bad_target("the query has a malformed value");
  }
  for (const auto& [fixed, kind] : {std::pair{std::string_view("/"), RouteKind::status_page},
                                    std::pair{std::string_view("/healthz"), RouteKind::health},
                                    std::pair{std::string_view("/readyz"), RouteKind::ready},
                                    std::pair{std::string_view("/metrics"), RouteKind::metrics},
                                    std::pair{std::string_view("/v2/"), RouteKind::base},
                                    std::pair{std::string_view("/v2"), RouteKind::base}}) {
    if (*path == fixed) {
      route.kind = kind;
      return route;
    }
  }
  if (path->starts_with("/v2/")) return parse_v2(*path, std::move(route));
  return Failure{404, error_code::kUnsupported, "this registry has no such address"};
}

}  // namespace bundle::registry
