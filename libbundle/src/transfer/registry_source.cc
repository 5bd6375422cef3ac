#include "transfer/registry_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "oci/document.h"
#include "oci/layout.h"
#include "transfer/registry_repository.h"

namespace bundle::transfer {
namespace {

using oci::Descriptor;
using oci::Document;
using oci::ImageName;

constexpr std::string_view kTagAnnotation = "org.opencontainers.image.ref.name";
constexpr std::string_view kCosignSuffixes[] = {".sig", ".att", ".sbom"};

ImageName parse_reference(std::string_view reference) {
  if (!reference.starts_with(kRegistryScheme)) {
    throw Error(ErrorCode::usage, fmt::format("'{}' is no image in a registry", reference),
                "Write docker://registry.example.com/app/web:1.0.0.");
  }
  return ImageName::parse_short(reference.substr(kRegistryScheme.size()));
}

// What decides which manifest is meant: the digest when there is one.
std::string manifest_name(const ImageName& name) {
  return name.digest ? name.digest->text() : name.tag;
}

class RegistrySource final : public oci::ContentSource {
 public:
  RegistrySource(Repository repository, Document root)
      : repository_(std::move(repository)), root_(std::move(root)) {}

  Document root() override { return root_; }

  std::optional<Document> document(const Descriptor& descriptor) override {
    if (descriptor.size > oci::kMaxDocumentBytes) {
      throw Error(
          ErrorCode::limit,
          fmt::format("manifest {} of {} has {} bytes, more than {}", descriptor.digest.text(),
                      name(), descriptor.size, oci::kMaxDocumentBytes),
          "Such a manifest is of no use to any registry; build the image again.");
    }
    if (descriptor.digest == root_.descriptor.digest) {
      oci::check_bytes(descriptor, root_.bytes, name());
      return Document{descriptor, root_.bytes};
    }
    return repository_.get_document(descriptor.digest.text(), &descriptor);
  }

  std::unique_ptr<Source> open_blob(const Descriptor& descriptor) override {
    return repository_.open_blob(descriptor);
  }

  std::vector<Descriptor> referrers(const Digest& digest) override;

  std::string name() const override {
    return std::string(kRegistryScheme) + repository_.image().text();
  }

 private:
  std::vector<Descriptor> fallback_referrers(const Digest& digest) const;

  Repository repository_;
  Document root_;
};

std::vector<Descriptor> RegistrySource::fallback_referrers(const Digest& digest) const {
  const std::string tag = oci::digest_tag(digest);
  const std::optional<Document> document = repository_.get_document(tag, nullptr);
  // Somebody may have given such a tag to an ordinary image.
  if (!document || !oci::is_index_type(document->descriptor.media_type)) return {};
  return oci::parse_index(*document).manifests;
}

std::vector<Descriptor> RegistrySource::referrers(const Digest& digest) {
  std::vector<Descriptor> all;
  for (const std::string_view suffix : kCosignSuffixes) {
    const std::string tag = oci::digest_tag(digest, suffix);
    if (std::optional<Descriptor> found = repository_.head(tag)) {
      found->annotations.insert_or_assign(std::string(kTagAnnotation), tag);
      all.push_back(std::move(*found));
    }
  }
  std::optional<std::vector<Descriptor>> listed = repository_.api_referrers(digest);
  if (!listed) listed = fallback_referrers(digest);
  for (Descriptor& descriptor : *listed) {
    if (std::ranges::find(all, descriptor.digest, &Descriptor::digest) == all.end()) {
      all.push_back(std::move(descriptor));
    }
  }
  return all;
}

}  // namespace

std::shared_ptr<oci::ContentSource> open_registry_source(std::shared_ptr<RegistryClient> client,
                                                         const std::string& reference) {
  const ImageName name = parse_reference(reference);
  Repository repository(std::move(client), name);
  std::optional<Document> root = repository.get_document(manifest_name(name), nullptr);
  if (!root) {
    throw Error(ErrorCode::not_found, fmt::format("{} does not exist", reference),
                "Check the repository, the tag and the digest; a tag may have been removed.");
  }
  // Refuses at once what later steps could not use, with the reference in the message.
  const Descriptor& descriptor = root->descriptor;
  if (oci::is_index_type(descriptor.media_type)) {
    oci::parse_index(root->bytes, descriptor.media_type, reference);
  } else {
    oci::parse_manifest(root->bytes, descriptor.media_type, reference);
  }
  return std::make_shared<RegistrySource>(std::move(repository), std::move(*root));
}

std::optional<Digest> resolve_registry_tag(RegistryClient& client, const std::string& reference) {
  const ImageName name = parse_reference(reference);
  if (name.digest) return name.digest;
  // A reference that outlives this call is not needed: nothing is kept.
  const std::shared_ptr<RegistryClient> borrowed(std::shared_ptr<void>(), &client);
  const std::optional<Descriptor> found = Repository(borrowed, name).head(name.tag);
  if (!found) return std::nullopt;
  return found->digest;
}

oci::SourceOpener make_source_opener(FileSystem& fs, const Path& base_dir,
                                     RegistryOptions options) {
  struct Shared {
    std::mutex mutex;
    std::shared_ptr<RegistryClient> client;
  };
  auto shared = std::make_shared<Shared>();
  return [&fs, base_dir, options = std::move(options), shared](const std::string& reference) {
    if (!reference.starts_with(kRegistryScheme)) {
      return oci::open_local_source(fs, reference, base_dir);
    }
    // Made when first needed: a broken credential file is no matter without a registry.
    {
      const std::lock_guard lock(shared->mutex);
      if (!shared->client) shared->client = std::make_shared<RegistryClient>(fs, options);
    }
    return open_registry_source(shared->client, reference);
  };
}

}  // namespace bundle::transfer
