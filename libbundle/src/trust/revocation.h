// The revocation list: releases that may not be activated and keys that no longer count. Signed by
// the release role; travels with every newer bundle. Format: docs/trust-model.md, "Revocation
// list".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "crypto/digest.h"

namespace bundle::trust {

// One revoked release. A statement matches by digest, or by version when it was signed again.
struct RevokedRelease {
  Digest statement_digest;
  std::string version;
  std::string reason;  // for people; may be empty
  bool operator==(const RevokedRelease&) const = default;
};

struct RevocationList {
  std::string product;
  std::uint64_t sequence = 0;  // 1 and up; the newest list replaces the older ones
  UnixTime created = 0;
  std::vector<RevokedRelease> releases;  // sorted by digest when encoded
  std::vector<std::string> keys;         // TUF key ids (64 hex digits); sorted when encoded

  bool operator==(const RevocationList&) const = default;
};

// The exact bytes to sign. Throws Error{statement_invalid} for a field out of its range.
std::string encode_revocations(const RevocationList& list);
// As parse_statement, with kMaxRevocationBytes.
RevocationList parse_revocations(std::string_view json, std::string_view what);

}  // namespace bundle::trust
