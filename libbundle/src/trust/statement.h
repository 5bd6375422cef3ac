// The release statement: what one release is. Small canonical JSON, signed once, the same for every
// carrier. Format: docs/trust-model.md, "Release statement".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "crypto/digest.h"

namespace bundle::trust {

struct Statement {
  std::string product;
  std::string version;               // release version, "1.4.0"
  std::uint64_t release_number = 0;  // 1 and up; never goes down within a product
  UnixTime created = 0;
  UnixTime expires = 0;
  Digest manifest_digest;  // of manifest.json
  std::uint64_t manifest_size = 0;
  Digest blob_list_digest;  // of the sorted list of all blobs
  std::uint64_t blob_list_size = 0;
  std::uint64_t blob_count = 0;
  std::uint64_t blob_bytes = 0;  // sum of all blob sizes

  bool operator==(const Statement&) const = default;
};

// The exact bytes to sign. Throws Error{statement_invalid} for a field out of its range.
std::string encode_statement(const Statement& statement);

// Says nothing about signatures: a reader gets statements from TrustRoot::verify_release.
// Throws Error{statement_invalid} naming `what`: malformed, not canonical, or a field out of range;
// Error{unsupported} for another major spec_version; Error{limit} past kMaxStatementBytes.
Statement parse_statement(std::string_view json, std::string_view what);

}  // namespace bundle::trust
