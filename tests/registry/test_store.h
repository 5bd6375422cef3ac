// A site store made by hand, release by release, without the importer.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/blob_list.h"
#include "oci/descriptor.h"
#include "release/manifest.h"
#include "store/site_store.h"
#include "support/temp_directory.h"

namespace bundle::testing {

// One release being put together: its blobs and artifacts.
class ReleaseDraft {
 public:
  explicit ReleaseDraft(Path root) : root_(std::move(root)) {}

  oci::Descriptor blob(const std::string& bytes, std::string_view media_type);
  // An image of the given layers; `subject` and `artifact_type` make it a referrer.
  oci::Descriptor image(const std::vector<oci::Descriptor>& layers,
                        const std::optional<oci::Descriptor>& subject = std::nullopt,
                        const std::string& artifact_type = {},
                        const std::map<std::string, std::string>& annotations = {});
  // `absent` children are named by the index and not in the store (sparse).
  oci::Descriptor index(const std::vector<oci::Descriptor>& children);
  // Names it "<registry>/<repository>:<tag>".
  release::Artifact& name(const std::string& registry, const std::string& repository,
                          const std::string& tag, const oci::Descriptor& descriptor);

  // The release's desired state for Flux: "<product>/flux:<version>".
  void flux(const std::string& product, const std::string& version,
            const oci::Descriptor& descriptor);

  // Leaves a blob out of the release's list though a document names it.
  void forget(const Digest& digest);

  std::vector<release::Artifact> images;
  std::optional<release::FluxArtifact> state;
  std::map<Digest, std::uint64_t> blobs;

 private:
  Path root_;
};

class TestStore {
 public:
  TestStore();

  const Path& root() const { return root_; }
  std::shared_ptr<store::SiteStore> open() const;
  ReleaseDraft draft() const { return ReleaseDraft(root_); }
  // Publishes as import does: last, by rename.
  void publish(ReleaseDraft draft, const std::string& version, std::uint64_t number) const;
  void activate(const std::string& version) const;
  void remove_release(const std::string& version) const;
  Path blob_path(const Digest& digest) const;

 private:
  TempDirectory directory_;
  Path root_;
};

}  // namespace bundle::testing
