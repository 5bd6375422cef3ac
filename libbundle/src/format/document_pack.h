// Manifest and blob list in the short form that deltas bring: docs/bundle-format.md section 2.6.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "format/blob_list.h"

namespace bundle::format {

struct ReleaseDocuments {
  std::string manifest;   // manifest.json
  std::string blob_list;  // blobs.list
};

// `blobs` sorted by digest, as decode_blob_list gives them. Memory: twice the documents.
Bytes pack_documents(std::string_view manifest, const std::vector<BlobEntry>& blobs);

// The exact bytes of both documents; nothing is known yet of whether they are the signed ones.
// `packed` is verified already; `manifest_size` and `blob_count` are what the statement says.
// Throws Error{statement_invalid} for counts beyond the limits, and what codec::zstd_decompress
// throws.
ReleaseDocuments unpack_documents(ByteView packed, std::uint64_t manifest_size,
                                  std::uint64_t blob_count);

}  // namespace bundle::format
