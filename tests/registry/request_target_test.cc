#include "registry/request_target.h"

#include <gtest/gtest.h>

#include "registry/request_limits.h"

namespace bundle::registry {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

Route route_of(const std::string& target) {
  auto parsed = parse_request_target(target);
  if (auto* route = std::get_if<Route>(&parsed)) return *route;
  ADD_FAILURE() << target << " is refused: " << std::get<Failure>(parsed).message;
  return {};
}

Failure failure_of(const std::string& target) {
  auto parsed = parse_request_target(target);
  if (auto* failure = std::get_if<Failure>(&parsed)) return *failure;
  ADD_FAILURE() << target << " is accepted";
  return {};
}

TEST(RequestTarget, FindsEveryRoute) {
  EXPECT_EQ(route_of("/").kind, RouteKind::status_page);
  EXPECT_EQ(route_of("/healthz").kind, RouteKind::health);
  EXPECT_EQ(route_of("/readyz").kind, RouteKind::ready);
  EXPECT_EQ(route_of("/metrics").kind, RouteKind::metrics);
  EXPECT_EQ(route_of("/v2/").kind, RouteKind::base);
  EXPECT_EQ(route_of("/v2").kind, RouteKind::base);
  const Route manifest = route_of("/v2/library/redis/manifests/7.2");
  EXPECT_EQ(manifest.kind, RouteKind::manifest);
  EXPECT_EQ(manifest.name, "library/redis");
  EXPECT_EQ(manifest.reference, "7.2");
  const Route blob = route_of("/v2/app/blobs/" + kDigest);
  EXPECT_EQ(blob.kind, RouteKind::blob);
  EXPECT_EQ(blob.reference, kDigest);
  EXPECT_EQ(route_of("/v2/app/tags/list").kind, RouteKind::tags);
  EXPECT_EQ(route_of("/v2/app/referrers/" + kDigest).kind, RouteKind::referrers);
}

TEST(RequestTarget, RepositoryMayBeNamedLikeARoute) {
  const Route route = route_of("/v2/blobs/manifests/tags/list/manifests/latest");
  EXPECT_EQ(route.kind, RouteKind::manifest);
  EXPECT_EQ(route.name, "blobs/manifests/tags/list");
}

TEST(RequestTarget, TakesFullNamesWithAPort) {
  EXPECT_EQ(route_of("/v2/registry.example.com:5000/app/manifests/1").name,
            "registry.example.com:5000/app");
  EXPECT_EQ(failure_of("/v2/app/registry.example.com:5000/manifests/1").code,
            error_code::kNameInvalid);
}

TEST(RequestTarget, ReadsTheQueryAndIgnoresWhatItDoesNotKnow) {
  const Route route =
      route_of("/v2/app/tags/list?x=1&ns=docker.io&n=5&last=a%2Db&ns=evil.example&&=");
  EXPECT_EQ(route.ns, "docker.io");
  EXPECT_EQ(route.n, "5");
  EXPECT_EQ(route.last, "a-b");
  const Route referrers =
      route_of("/v2/app/referrers/" + kDigest + "?artifactType=application%2Fvnd.example+json");
  EXPECT_EQ(referrers.artifact_type, "application/vnd.example+json");
}

TEST(RequestTarget, DecodesOnlyHarmlessEscapes) {
  EXPECT_EQ(route_of("/v2/app/blobs/sha256%3A" + std::string(64, 'a')).reference, kDigest);
  for (const char* target :
       {"/v2/app%2Fmanifests/manifests/x", "/v2/app/manifests/a%00b", "/v2/app/manifests/a%0d%0ab",
        "/v2/app/manifests/%", "/v2/app/manifests/%4", "/v2/app/manifests/%zz",
        "/v2/app/manifests/a b", "/v2/app/manifests/a\tb", "/v2/app/manifests/\xc3\xa9",
        "/v2/app/tags/list?n=%zz", "v2/app/manifests/x", "", "*"}) {
    EXPECT_EQ(failure_of(target).status, 400u) << target;
  }
}

TEST(RequestTarget, RefusesNamesThatAreNone) {
  for (const char* name :
       {"App", "app//x", "-app", "app-", "app..x", "../etc", "a/../b", "a/./b", "app___x", "_app",
        "app/", "a:b/c:d", ":5000/app", "host:123456/app", "host:/app"}) {
    const Failure failure = failure_of("/v2/" + std::string(name) + "/manifests/1");
    EXPECT_EQ(failure.status, 400u) << name;
    EXPECT_EQ(failure.code, error_code::kNameInvalid) << name;
  }
  EXPECT_EQ(failure_of("/v2/" + std::string(256, 'a') + "/manifests/1").code,
            error_code::kNameInvalid);
  EXPECT_EQ(route_of("/v2/" + std::string(255, 'a') + "/manifests/1").name.size(), 255u);
}

TEST(RequestTarget, RefusesBadNamespaces) {
  for (const char* ns : {"", "a/b", "..", "docker.io:", "docker.io:x", "-a", "[", "[]"}) {
    EXPECT_EQ(failure_of("/v2/app/manifests/1?ns=" + std::string(ns)).code,
              error_code::kNameInvalid)
        << ns;
  }
}

TEST(RequestTarget, UnknownAddressesAre404) {
  for (const char* target : {"/v1/", "/v2x", "/v2/app", "/v2/_catalog", "/healthz/", "//v2/",
                             "/v2/app/manifest/1", "/index.html"}) {
    EXPECT_EQ(failure_of(target).status, 404u) << target;
  }
}

TEST(RequestTarget, TooLongIs414) {
  EXPECT_EQ(failure_of("/" + std::string(kMaxTargetBytes, 'a')).status, 414u);
}

TEST(RequestTarget, AbsoluteFormIsThePath) {
  EXPECT_EQ(route_of("http://registry.example.com/v2/").kind, RouteKind::base);
  EXPECT_EQ(route_of("http://registry.example.com").kind, RouteKind::status_page);
}

}  // namespace
}  // namespace bundle::registry
