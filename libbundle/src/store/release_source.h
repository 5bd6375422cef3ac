// An artifact of a release in the store as a source of content.
#pragma once

#include <memory>
#include <set>

#include "oci/content.h"
#include "release/manifest.h"
#include "store/site_store.h"

namespace bundle::store {

// Documents are compared with their digests when they are read; a blob's stream is not: ask
// SiteStore::blob_problem. What is not among `carried`, the blobs of the release, is not there,
// whatever else the store has. `artifact` is copied. Thread-safe. Throws Error{store_corrupt} for a
// damaged document.
std::shared_ptr<oci::ContentSource> open_release_source(
    std::shared_ptr<SiteStore> store, std::shared_ptr<const std::set<Digest>> carried,
    const release::Artifact& artifact);

// The bytes of a blob as they are on the disk: who takes them compares digests. Throws
// Error{not_found}.
std::unique_ptr<Source> stream_blob(const SiteStore& store, const Digest& digest);

}  // namespace bundle::store
