// A site store as an origin: another site's mirror, on a stick or a network disk. Its listing and
// its channels' news are made from what the store holds; its releases lie in plain blobs.
#pragma once

#include <memory>

#include "transfer/origin.h"
#include "unpack/blob_source.h"

namespace bundle::source {

// True when `place` is a site store.
bool is_store(FileSystem& fs, const Path& place);

// Reads only; a store that is being written gives whole releases all the same. Nothing of it is
// believed: who reads it verifies as with any origin. Throws Error{store_invalid}.
std::shared_ptr<transfer::Origin> open_store_origin(FileSystem& fs, const Path& place);

// Writes the listing and the news of every channel into the store, origin.json and channels/*.news,
// so that a web server or an object store that serves its files is an origin. What is as it should
// be is not touched. News come last: who sees them finds the release. Throws Error{unsupported}
// for a store of several products.
void write_store_listing(FileSystem& fs, const Path& store);

// The blobs of an origin's releases that lie in plain form, blobs/sha256/<hex>.
std::shared_ptr<const unpack::BlobSource> origin_blobs(
    std::shared_ptr<const transfer::Origin> origin);

}  // namespace bundle::source
