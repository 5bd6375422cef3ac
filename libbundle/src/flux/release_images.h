// The images of a release, looked up by what a Kubernetes manifest writes.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "crypto/digest.h"
#include "release/manifest.h"

namespace bundle::flux {

class ReleaseImages {
 public:
  // Any image of the release, by its complete name with the tag, if it has one.
  void add(const release::Artifact& image);
  // What lives at the site under `repository` and `tag`: the chart.
  void add_local(const release::Artifact& artifact);
  // A manifest or index that the release carries: a reference may pin the child of an index.
  void add_document(const Digest& digest) { documents_.insert(digest); }
  bool has_document(const Digest& digest) const { return documents_.contains(digest); }

  // The digest that the release has for "redis:7" or "docker.io/library/redis@sha256:..."; nothing
  // when the release has no such image, or the text is no reference.
  std::optional<Digest> find(std::string_view reference) const;
  // The digest for an OCIRepository's url without tag, "oci://${bundle_registry}/app/charts/web":
  // of what lives at the site, whatever the host; of an image's repository otherwise, by its tag.
  std::optional<Digest> find_source(std::string_view url, std::string_view tag) const;

 private:
  std::map<std::string, Digest, std::less<>> tagged_;  // "docker.io/library/redis:7"
  std::set<std::string, std::less<>> pinned_;          // "docker.io/library/redis@sha256:..."
  std::map<std::string, Digest, std::less<>> local_;   // "example-appliance/charts/app"
  std::set<Digest> documents_;
};

// "docker.io/library/redis@sha256:..." of "redis:7": a reference of the same repository that only
// the digest decides. `reference` must be one.
std::string pinned_reference(std::string_view reference, const Digest& digest);

// Whether the text is a reference that a digest decides.
bool is_pinned(std::string_view reference);

}  // namespace bundle::flux
