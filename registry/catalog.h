// What the registry offers: repositories, tags, documents and blobs of the releases in a store, as
// one immutable snapshot. A request uses one snapshot from its first to its last byte.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "crypto/digest.h"
#include "oci/descriptor.h"
#include "store/site_store.h"

namespace bundle::registry {

// A manifest or an index with its exact bytes, which were hashed when they were read. Held in
// memory: small, asked for often, and right whatever happens to the disk.
struct Document {
  oci::Descriptor descriptor;  // artifact_type as a referrer list shows it; annotations its own
  std::optional<Digest> subject;
  std::vector<oci::Descriptor> children;  // documents of an index
  std::vector<oci::Descriptor> blobs;     // config and layers
  std::string bytes;
};
using DocumentPtr = std::shared_ptr<const Document>;

// A manifest or index of exactly these bytes, whose digest and size `document.descriptor` has.
// Throws Error{oci_invalid|json_invalid|limit|unsupported} when they are none.
DocumentPtr parse_document(Document document);
// The document in a file. Throws those, and Error{store_corrupt} when its bytes are others.
DocumentPtr read_document(FileSystem& fs, const Path& file, const Digest& digest,
                          std::uint64_t size);

// Where a blob lies: among those of the releases, or among those that were pushed.
enum class StorePart : std::uint8_t { releases, pushed };

struct BlobFacts {
  std::uint64_t size = 0;  // as the signed release, or the record of the push, says
  // A blob file whose ctime is not after this was not touched since its import verified it.
  std::int64_t published_ns = 0;
  StorePart part = StorePart::releases;
};

// Only what the manifests of this repository reach: a client that may read one repository cannot
// read another one through it.
struct Repository {
  // What access rules look at: every full name whose content is here (a short name may have more
  // than one).
  std::vector<std::string> full_names;
  std::map<std::string, DocumentPtr, std::less<>> tags;  // bytewise order, as tags/list wants it
  std::unordered_map<Digest, DocumentPtr> documents;
  std::unordered_map<Digest, BlobFacts> blobs;                     // documents' files too
  std::unordered_map<Digest, std::vector<DocumentPtr>> referrers;  // by subject; sorted by digest
};
using RepositoryPtr = std::shared_ptr<const Repository>;
using RepositoryMap = std::map<std::string, RepositoryPtr, std::less<>>;

struct Catalog {
  // By full name ("docker.io/library/redis") and by name without host ("library/redis"). When
  // several hosts have a repository of one name, the short name has the content of all of them,
  // and a tag that they share is the one of the bytewise first host.
  RepositoryMap repositories;
  // Those whose names have no host (chart, files): this registry is their home, so they answer
  // under any `ns`.
  RepositoryMap site_repositories;
  std::vector<std::string> full_names;  // for people: each repository once

  std::vector<store::ReleaseInfo> releases;  // ascending by release number
  std::optional<std::string> active;
  // The release whose tags win: the active one, or the newest while none is active.
  std::optional<std::string> leading;
  std::vector<store::BlobEntry> leading_blobs;
  std::vector<std::string> problems;  // what could not be offered, in words

  // `ns` is the original registry when the client (containerd) names it; nullptr when unknown.
  RepositoryPtr find(std::string_view name, const std::optional<std::string>& ns) const;
  // All documents by digest, for the next build.
  std::unordered_map<Digest, DocumentPtr> documents;
};

// Referrer lists are in this order.
void sort_by_digest(std::vector<DocumentPtr>& documents);

// Reads every document of every release; those of `previous` are not read again. A damaged or
// missing document becomes a problem and no failure: the rest is offered.
// Tags: the leading release first, then the others from the newest to the oldest; the first one
// that has a tag decides. The desired state of the active release (<product>/flux) has the tag
// "active" besides; while no release is active there is none. Digests: every release.
// Throws what the store throws when a release vanishes under the reader (gc): try again then.
// Peak memory: kMaxCatalogBytes of documents plus about ten times the largest.
std::shared_ptr<const Catalog> build_catalog(const store::SiteStore& store,
                                             const Catalog* previous);

// "docker.io/library/redis:7.2@sha256:..." cut into its parts; the host is empty when the name has
// none ("example-appliance/charts/app:1.0.0").
struct ArtifactName {
  std::string host;
  std::string repository;
  std::string tag;  // empty when the name pins a digest only
};
ArtifactName split_artifact_name(std::string_view name);

}  // namespace bundle::registry
