#include "store/release_source.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "oci/document.h"

namespace bundle::store {
namespace {

using oci::Descriptor;

// Streams a file that it owns.
class OwnedFileSource final : public Source {
 public:
  explicit OwnedFileSource(std::unique_ptr<ReadableFile> file)
      : file_(std::move(file)), source_(*file_) {}
  std::size_t read(std::span<std::uint8_t> buffer) override { return source_.read(buffer); }

 private:
  std::unique_ptr<ReadableFile> file_;
  FileSource source_;
};

class ReleaseSource final : public oci::ContentSource {
 public:
  ReleaseSource(std::shared_ptr<SiteStore> store, std::shared_ptr<const std::set<Digest>> carried,
                const release::Artifact& artifact)
      : store_(std::move(store)), carried_(std::move(carried)), artifact_(artifact) {}

  oci::Document root() override {
    if (auto found = document(artifact_.descriptor)) return std::move(*found);
    throw Error(ErrorCode::release_incomplete,
                fmt::format("{}: manifest {} is not in the store", artifact_.name,
                            artifact_.descriptor.digest.text()),
                "Import the release again: only what is missing is written.");
  }

  std::optional<oci::Document> document(const Descriptor& descriptor) override {
    if (!carried_->contains(descriptor.digest)) return std::nullopt;
    const Path path = store_->blob_path(descriptor.digest);
    oci::Document found{descriptor, read_file(store_->fs(), path, oci::kMaxDocumentBytes)};
    if (found.bytes.size() == descriptor.size && sha256(found.bytes) == descriptor.digest) {
      return found;
    }
    throw Error(ErrorCode::store_corrupt,
                fmt::format("{}: blob {} in the store is damaged", artifact_.name,
                            descriptor.digest.text()),
                "Run bundle-import verify, then import the release again.");
  }

  std::unique_ptr<Source> open_blob(const Descriptor& descriptor) override {
    return stream_blob(*store_, descriptor.digest);
  }

  std::vector<Descriptor> referrers(const Digest& digest) override {
    std::vector<Descriptor> found;
    for (const release::Referrer& referrer : artifact_.referrers) {
      if (referrer.subject != digest) continue;
      found.push_back(referrer.descriptor);
      if (!referrer.tag.empty()) {
        found.back().annotations.insert_or_assign(std::string(oci::annotation::kRefName),
                                                  referrer.tag);
      }
    }
    return found;
  }

  std::string name() const override { return artifact_.name; }

 private:
  std::shared_ptr<SiteStore> store_;
  std::shared_ptr<const std::set<Digest>> carried_;
  release::Artifact artifact_;
};

}  // namespace

std::shared_ptr<oci::ContentSource> open_release_source(
    std::shared_ptr<SiteStore> store, std::shared_ptr<const std::set<Digest>> carried,
    const release::Artifact& artifact) {
  return std::make_shared<ReleaseSource>(std::move(store), std::move(carried), artifact);
}

std::unique_ptr<Source> stream_blob(const SiteStore& store, const Digest& digest) {
  return std::make_unique<OwnedFileSource>(store.open_blob(digest));
}

}  // namespace bundle::store
