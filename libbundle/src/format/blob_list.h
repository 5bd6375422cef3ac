// blobs.list: every blob of a release with its size. docs/bundle-format.md section 2.2.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "crypto/digest.h"

namespace bundle::format {

struct BlobEntry {
  Digest digest;
  std::uint64_t size = 0;
  bool operator==(const BlobEntry&) const = default;
};

// Sorts; equal digests must not occur.
std::string encode_blob_list(std::vector<BlobEntry> blobs);
// Throws Error{statement_invalid} naming `what` and the line: wrong form, not sorted, duplicate.
std::vector<BlobEntry> decode_blob_list(std::string_view text, std::string_view what);

// bases.list (section 2.5): the same lines, in the order of the numbers that runs use.
std::string encode_base_list(const std::vector<BlobEntry>& blobs);
// Throws Error{index_invalid} naming `what` and the line: wrong form, duplicate.
std::vector<BlobEntry> decode_base_list(std::string_view text, std::string_view what);

}  // namespace bundle::format
