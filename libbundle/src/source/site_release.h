// What several calls on a site store need of one of its releases.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "release/manifest.h"
#include "store/site_store.h"
#include "trust/trust_state.h"

namespace bundle::source {

// On the real file system. Throws Error{store_invalid}.
std::shared_ptr<store::SiteStore> open_store(const Path& root);

// Blobs of the release that are not there with their size.
std::vector<store::BlobEntry> absent_blobs(const store::SiteStore& store,
                                           const std::string& version);

// Throws as release::parse_manifest.
release::Manifest read_manifest(const store::SiteStore& store, const std::string& version);

// The signed statement of a release at the site, verified again. Expiry does not matter for what
// was imported in time. Throws as trust::TrustRoot::verify_release; Error{store_corrupt} when it is
// the statement of another release.
trust::VerifiedRelease verify_release(const store::SiteStore& store, const trust::TrustState& state,
                                      const std::string& version);

// Compares the release's other files with what the signed statement says. Throws
// Error{store_corrupt}.
void verify_documents(const store::SiteStore& store, const trust::VerifiedRelease& release);

// Whether a release may leave this site: signed, not revoked, its documents as signed, every blob
// there with its size (no blob is read). Returns the statement. Throws Error{release_unknown},
// Error{revoked}, Error{release_incomplete} and as the two above.
trust::VerifiedRelease require_good_release(const store::SiteStore& store,
                                            const std::string& version);

// What the site follows for a product, to carry it on: roots, the newest revocation list and
// pointers, with their signatures. Named as in a bundle's tail; not verified again.
std::vector<trust::SignatureFile> site_trust_files(const store::SiteStore& store,
                                                   const std::string& product);

}  // namespace bundle::source
