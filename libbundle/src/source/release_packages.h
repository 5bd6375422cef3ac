// The packages of a release, out of the SBOM that it carries.
#pragma once

#include <functional>

#include "release/release_diff.h"
#include "store/site_store.h"
#include "unpack/bundle_reader.h"
#include "unpack/group_reader.h"

namespace bundle::source {

// Gives a blob of the release, verified by its digest. Throws Error{limit} past `limit` bytes.
using ReadBlob = std::function<std::string(const Digest& digest, std::uint64_t limit)>;

ReadBlob blobs_of(const store::SiteStore& store);
// Of a bundle; `blobs` and `index` are those of its head, and outlive the result, as `groups` does.
ReadBlob blobs_of(const std::vector<format::BlobEntry>& blobs, const format::Index& index,
                  unpack::GroupReader& groups, const Cancel& cancel);

// Nothing, with a note that says why, when the release has no SBOM or it cannot be read: what
// changes besides is worth knowing all the same. Throws Error{cancelled}.
std::optional<release::PackageVersions> read_packages(const release::Manifest& manifest,
                                                      const ReadBlob& read,
                                                      std::vector<std::string>& notes);

}  // namespace bundle::source
