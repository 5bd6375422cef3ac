// From an origin to the volumes of one of its releases.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bundle/import.h"
#include "source/open_bundle.h"
#include "store/site_store.h"
#include "transfer/origin.h"
#include "trust/origin_index.h"

namespace bundle::source {

// The origin among the sources of an import: the only source, and an address, a folder that holds
// an origin.json, or a site store. Empty when there is none.
std::string find_origin(FileSystem& fs, const std::vector<std::filesystem::path>& sources);

// `cancel` is polled while the network is waited for; may be null and outlives the origin.
std::shared_ptr<transfer::Origin> open_origin(FileSystem& fs, const std::string& place,
                                              const OriginAccess& access, const Cancel* cancel);

// What the site follows as this channel has it: roots, pointer, revocation list, signatures. Not
// verified. Throws Error{not_found} when the origin has no such channel, {volume_corrupt}.
std::vector<trust::SignatureFile> parse_channel(const std::string& content,
                                                const std::string& what);

// The listing. Throws Error{not_a_bundle} when there is none.
trust::OriginIndex read_origin_index(const transfer::Origin& origin, bool past_caches = false);

// Where a channel of the listing stands for a store, which need not be there yet; `trust_file` as
// for an import. Throws as open_release.
trust::OriginRelease channel_release(FileSystem& fs, const transfer::Origin& origin,
                                     const trust::OriginIndex& index, const std::string& channel,
                                     const Path& store, const Path& trust_file);

struct OriginWish {
  std::string channel;  // the release that it stands at; its news travel along
  std::string version;  // or this one
};
struct OriginVolumes {
  std::shared_ptr<transfer::Origin> origin;  // outlives the volumes
  unpack::VolumeSet volumes;
};
// A release that the origin has in plain blobs is opened as that; a wish may be empty when it is
// the only one. Else opens the bundle that costs the site least: of the deltas whose base the store
// (may be null) holds the smallest, else the full one. The pointer of the channel is verified
// before it is followed; the rest is verified by open_bundle(). Throws Error{usage} when the wish
// names nothing, {not_found, base_missing, release_unknown} and what reading and verifying throw.
OriginVolumes open_release(FileSystem& fs, std::shared_ptr<transfer::Origin> origin,
                           const OriginWish& wish, const store::SiteStore* store,
                           const TrustChoice& trust);

}  // namespace bundle::source
