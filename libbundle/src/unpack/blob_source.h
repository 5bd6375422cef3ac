// Where whole blobs come from: a carrier of plain blobs (a site store, a mirror) in place of
// volumes. It needs no signature of its own: each blob is named by a digest that is signed.
#pragma once

#include <memory>
#include <string>

#include "format/blob_list.h"
#include "io/stream.h"

namespace bundle::unpack {

// Thread-safe.
class BlobSource {
 public:
  virtual ~BlobSource() = default;
  // The bytes of the blob from `offset` (below its size) on. Nothing is checked here: not the
  // digest, and not that there are no more bytes than the blob has. The stream outlives this
  // object. Throws Error{not_found} and what reading throws.
  virtual std::unique_ptr<Source> open(const format::BlobEntry& blob,
                                       std::uint64_t offset) const = 0;
  // For messages: "/srv/mirror/blobs/sha256/0123...".
  virtual std::string where(const format::BlobEntry& blob) const = 0;
};

}  // namespace bundle::unpack
