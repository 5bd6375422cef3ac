#include "registry/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "bundle/error.h"
#include "io/file_system.h"
#include "oci/document.h"
#include "registry/request_limits.h"
#include "release/naming.h"

namespace bundle::registry {
namespace {

// The parts of one release that building needs at hand.
struct ReleaseContent {
  std::unordered_map<Digest, std::uint64_t> sizes;
  std::vector<store::NamedArtifact> artifacts;
};

Document read_document_bytes(FileSystem& fs, const Path& file, const oci::Descriptor& descriptor) {
  if (descriptor.size > oci::kMaxDocumentBytes) {
    throw Error(ErrorCode::limit,
                fmt::format("document {} has {} bytes; at most {} are served",
                            descriptor.digest.text(), descriptor.size, oci::kMaxDocumentBytes));
  }
  const Bytes bytes = read_file(fs, file, oci::kMaxDocumentBytes);
  if (bytes.size() != descriptor.size || sha256(bytes) != descriptor.digest) {
    throw Error(ErrorCode::store_corrupt,
                fmt::format("blob {} in the store is damaged", descriptor.digest.text()),
                "Run bundle-import verify, then import the release again.");
  }
  Document document;
  document.descriptor = descriptor;
  document.bytes = std::string(as_text(bytes));
  return document;
}

class Builder {
 public:
  Builder(const store::SiteStore& store, const Catalog* previous)
      : store_(store), previous_(previous), catalog_(std::make_shared<Catalog>()) {}

  std::shared_ptr<const Catalog> build() {
    catalog_->releases = store_.releases();
    catalog_->active = store_.active_version();
    for (const std::string& version : priority_order()) load_release(version);
    publish();
    return catalog_;
  }

 private:
  // Leading release first, then from the newest to the oldest.
  std::vector<std::string> priority_order() {
    std::vector<std::string> order;
    for (const auto& release : catalog_->releases) order.insert(order.begin(), release.version);
    if (catalog_->active) {
      const auto at = std::find(order.begin(), order.end(), *catalog_->active);
      if (at == order.end()) {
        catalog_->problems.push_back(
            fmt::format("the active release {} is not in the store", *catalog_->active));
      } else {
        std::rotate(order.begin(), at, at + 1);
      }
    }
    if (!order.empty()) catalog_->leading = order.front();
    return order;
  }

  void load_release(const std::string& version) {
    const auto blobs = store_.release_blobs(version);
    if (version == catalog_->leading) catalog_->leading_blobs = blobs;
    const auto status = store_.fs().status(store_.release_dir(version));
    const std::int64_t published = status ? status->ctime_ns : 0;
    ReleaseContent release;
    for (const auto& blob : blobs) {
      release.sizes.emplace(blob.digest, blob.size);
      auto [at, added] = published_.emplace(blob.digest, published);
      if (!added) at->second = std::min(at->second, published);
    }
    release.artifacts = store_.release_artifacts(version);
    std::set<std::string> touched;
    for (const auto& artifact : release.artifacts) {
      const ArtifactName name = split_artifact_name(artifact.name);
      Repository& repository = repository_of(name);
      touched.insert(full_name(name));
      const DocumentPtr root = add_document(release, repository, artifact.descriptor, 0);
      if (root && !name.tag.empty()) repository.tags.try_emplace(name.tag, root);
      if (root && is_active_state(version, name)) {
        repository.tags.insert_or_assign(std::string(release::kActiveTag), root);
      }
    }
    add_referrers(release, touched);
  }

  // The desired state of the active release has one tag more, which moves with the activation. What
  // hangs on it, as its signatures, is in the same repository.
  bool is_active_state(const std::string& version, const ArtifactName& name) const {
    if (version != catalog_->active || !name.host.empty() ||
        name.tag != release::version_tag(version)) {
      return false;
    }
    const auto release =
        std::ranges::find(catalog_->releases, version, &store::ReleaseInfo::version);
    return release != catalog_->releases.end() &&
           name.repository == release::flux_repository(release->product);
  }

  static std::string full_name(const ArtifactName& name) {
    return name.host.empty() ? name.repository : name.host + "/" + name.repository;
  }

  Repository& repository_of(const ArtifactName& name) {
    auto& built = built_[full_name(name)];
    built.first = name;
    return built.second;
  }

  // Reads and checks a document once; nothing when it is damaged or missing.
  DocumentPtr load(const ReleaseContent& release, const oci::Descriptor& descriptor) {
    if (const auto known = catalog_->documents.find(descriptor.digest);
        known != catalog_->documents.end()) {
      return known->second;
    }
    if (previous_ != nullptr) {
      if (const auto known = previous_->documents.find(descriptor.digest);
          known != previous_->documents.end()) {
        return keep(known->second);
      }
    }
    try {
      oci::Descriptor exact = descriptor;
      exact.size = release.sizes.at(descriptor.digest);
      if (descriptor.size != exact.size) {
        throw Error(ErrorCode::oci_invalid,
                    fmt::format("document {} has {} bytes but is listed with {}",
                                descriptor.digest.text(), exact.size, descriptor.size));
      }
      return keep(
          parse_document(read_document_bytes(store_.fs(), store_.blob_path(exact.digest), exact)));
    } catch (const Error& error) {
      catalog_->problems.push_back(error.message());
      return nullptr;
    }
  }

  DocumentPtr keep(DocumentPtr document) {
    document_bytes_ += document->bytes.size();
    if (document_bytes_ > kMaxCatalogBytes) {
      throw Error(ErrorCode::limit,
                  fmt::format("the manifests in the store exceed {} bytes", kMaxCatalogBytes));
    }
    catalog_->documents.emplace(document->descriptor.digest, document);
    return document;
  }

  DocumentPtr add_document(const ReleaseContent& release, Repository& repository,
                           const oci::Descriptor& descriptor, int depth) {
    if (const auto known = repository.documents.find(descriptor.digest);
        known != repository.documents.end()) {
      return known->second;
    }
    if (depth > kMaxIndexDepth) {
      catalog_->problems.push_back("indexes are nested too deeply below " +
                                   descriptor.digest.text());
      return nullptr;
    }
    DocumentPtr document = load(release, descriptor);
    if (!document) return nullptr;
    repository.documents.emplace(descriptor.digest, document);
    add_blob(release, repository, document->descriptor);
    if (document->subject) repository.referrers[*document->subject].push_back(document);
    for (const auto& child : document->children) {
      // A sparse index names children that the release does not carry.
      if (!release.sizes.contains(child.digest)) continue;
      add_document(release, repository, child, depth + 1);
    }
    for (const auto& blob : document->blobs) add_blob(release, repository, blob);
    return document;
  }

  void add_blob(const ReleaseContent& release, Repository& repository,
                const oci::Descriptor& blob) {
    const auto listed = release.sizes.find(blob.digest);
    if (listed == release.sizes.end()) return;  // not carried: a non-distributable layer
    if (listed->second != blob.size) {
      catalog_->problems.push_back(fmt::format("blob {} has {} bytes but a manifest says {}",
                                               blob.digest.text(), listed->second, blob.size));
      return;
    }
    referenced_.insert(blob.digest);
    repository.blobs.emplace(blob.digest, BlobFacts{blob.size, 0, StorePart::releases});
  }

  // Signatures, attestations and SBOMs reach a repository through their `subject` only, so they
  // are found among the blobs that nothing else refers to.
  void add_referrers(const ReleaseContent& release, const std::set<std::string>& repositories) {
    std::deque<DocumentPtr> waiting;
    for (const auto& [digest, size] : release.sizes) {
      if (referenced_.contains(digest) || size > oci::kMaxDocumentBytes) continue;
      if (DocumentPtr document = load_if_referrer(digest, size)) {
        waiting.push_back(std::move(document));
      }
    }
    // A referrer may speak about another referrer: pass over the rest until nothing is placed.
    for (bool placed = true; placed && !waiting.empty();) {
      placed = false;
      std::deque<DocumentPtr> rest;
      for (const DocumentPtr& document : waiting) {
        if (place(release, repositories, document)) {
          placed = true;
        } else {
          rest.push_back(document);
        }
      }
      waiting.swap(rest);
    }
  }

  bool place(const ReleaseContent& release, const std::set<std::string>& repositories,
             const DocumentPtr& document) {
    bool placed = false;
    for (const std::string& name : repositories) {
      Repository& repository = built_.at(name).second;
      if (!repository.documents.contains(*document->subject)) continue;
      add_document(release, repository, document->descriptor, 0);
      placed = true;
    }
    return placed;
  }

  DocumentPtr load_if_referrer(const Digest& digest, std::uint64_t size) {
    if (const auto known = catalog_->documents.find(digest); known != catalog_->documents.end()) {
      return known->second->subject ? known->second : nullptr;
    }
    if (previous_ != nullptr) {
      if (const auto known = previous_->documents.find(digest);
          known != previous_->documents.end()) {
        const DocumentPtr kept = keep(known->second);
        return kept->subject ? kept : nullptr;
      }
    }
    oci::Descriptor descriptor;
    descriptor.digest = digest;
    descriptor.size = size;
    std::optional<Document> raw;
    try {
      raw = read_document_bytes(store_.fs(), store_.blob_path(digest), descriptor);
    } catch (const Error& error) {
      catalog_->problems.push_back(error.message());
      return nullptr;
    }
    if (!raw->bytes.starts_with('{')) return nullptr;
    try {
      DocumentPtr document = parse_document(std::move(*raw));
      return document->subject ? keep(std::move(document)) : nullptr;
    } catch (const Error&) {
      return nullptr;  // a config or any other JSON that is no manifest
    }
  }

  void publish() {
    std::map<std::string, std::shared_ptr<Repository>> short_names;
    for (auto& [full, built] : built_) {
      auto& [name, repository] = built;
      for (auto& [digest, facts] : repository.blobs) facts.published_ns = published_.at(digest);
      for (auto& [subject, list] : repository.referrers) sort_by_digest(list);
      repository.full_names = {full};
      if (!name.host.empty()) merge_short(short_names[name.repository], repository);
      const auto shared = std::make_shared<const Repository>(std::move(repository));
      if (name.host.empty()) catalog_->site_repositories.emplace(full, shared);
      catalog_->repositories.emplace(full, shared);
      catalog_->full_names.push_back(full);
    }
    // A full name wins over a short one of the same spelling.
    for (auto& [name, repository] : short_names) {
      catalog_->repositories.try_emplace(name, std::move(repository));
    }
  }

  // built_ is in bytewise order of the full names, so the first host comes first and stays.
  static void merge_short(std::shared_ptr<Repository>& into, const Repository& from) {
    if (!into) into = std::make_shared<Repository>();
    into->full_names.insert(into->full_names.end(), from.full_names.begin(), from.full_names.end());
    into->tags.insert(from.tags.begin(), from.tags.end());
    into->documents.insert(from.documents.begin(), from.documents.end());
    into->blobs.insert(from.blobs.begin(), from.blobs.end());
    for (const auto& [subject, list] : from.referrers) {
      auto& merged = into->referrers[subject];
      for (const DocumentPtr& document : list) {
        const bool known = std::any_of(merged.begin(), merged.end(), [&](const DocumentPtr& other) {
          return other->descriptor.digest == document->descriptor.digest;
        });
        if (!known) merged.push_back(document);
      }
    }
  }

  const store::SiteStore& store_;
  const Catalog* previous_;
  std::shared_ptr<Catalog> catalog_;
  std::map<std::string, std::pair<ArtifactName, Repository>> built_;
  std::set<Digest> referenced_;
  std::unordered_map<Digest, std::int64_t> published_;
  std::uint64_t document_bytes_ = 0;
};

}  // namespace

DocumentPtr parse_document(Document document) {
  const std::string what = "document " + document.descriptor.digest.text();
  const ByteView bytes = as_bytes(document.bytes);
  // The body's own media type is what a client compares the Content-Type with.
  const std::string type = oci::sniff_media_type(bytes, what);
  document.descriptor.media_type = type;
  if (oci::is_index_type(type)) {
    oci::Index index = oci::parse_index(bytes, type, what);
    document.children = std::move(index.manifests);
    if (index.subject) document.subject = index.subject->digest;
    document.descriptor.artifact_type = index.artifact_type;
    document.descriptor.annotations = std::move(index.annotations);
  } else {
    oci::Manifest manifest = oci::parse_manifest(bytes, type, what);
    document.descriptor.artifact_type = manifest.kind();
    document.blobs = std::move(manifest.layers);
    document.blobs.push_back(std::move(manifest.config));
    if (manifest.subject) document.subject = manifest.subject->digest;
    document.descriptor.annotations = std::move(manifest.annotations);
  }
  document.descriptor.platform.reset();
  return std::make_shared<const Document>(std::move(document));
}

DocumentPtr read_document(FileSystem& fs, const Path& file, const Digest& digest,
                          std::uint64_t size) {
  oci::Descriptor descriptor;
  descriptor.digest = digest;
  descriptor.size = size;
  return parse_document(read_document_bytes(fs, file, descriptor));
}

void sort_by_digest(std::vector<DocumentPtr>& documents) {
  std::ranges::sort(documents, {}, [](const DocumentPtr& document) -> const Digest& {
    return document->descriptor.digest;
  });
}

ArtifactName split_artifact_name(std::string_view name) {
  ArtifactName parts;
  name = name.substr(0, name.find('@'));
  const std::size_t slash = name.rfind('/');
  const std::size_t colon = name.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    parts.tag = name.substr(colon + 1);
    name = name.substr(0, colon);
  }
  // distribution/reference: the first component is a host when it has a dot or a port.
  const std::size_t first = name.find('/');
  const std::string_view head = name.substr(0, first);
  const bool is_host = first != std::string_view::npos &&
                       (head.find_first_of(".:") != std::string_view::npos || head == "localhost");
  if (is_host) {
    parts.host = head;
    name.remove_prefix(first + 1);
  }
  parts.repository = name;
  return parts;
}

RepositoryPtr Catalog::find(std::string_view name, const std::optional<std::string>& ns) const {
  const auto look_up = [](const RepositoryMap& map, std::string_view key) -> RepositoryPtr {
    const auto at = map.find(key);
    return at == map.end() ? nullptr : at->second;
  };
  if (!ns) return look_up(repositories, name);
  if (RepositoryPtr found = look_up(repositories, *ns + "/" + std::string(name))) return found;
  return look_up(site_repositories, name);
}

std::shared_ptr<const Catalog> build_catalog(const store::SiteStore& store,
                                             const Catalog* previous) {
  return Builder(store, previous).build();
}

}  // namespace bundle::registry
