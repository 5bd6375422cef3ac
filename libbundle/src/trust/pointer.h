// The channel pointer (TUF's timestamp role): which release a channel stands at. Promotion signs a
// new pointer and touches no release. Format: docs/trust-model.md, "Channel pointer".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "crypto/digest.h"

namespace bundle::trust {

struct ChannelPointer {
  std::string product;
  std::string channel;         // "stable"
  std::uint64_t sequence = 0;  // 1 and up; never goes down within a channel
  UnixTime created = 0;
  UnixTime expires = 0;
  Digest statement_digest;
  std::string release_version;
  std::uint64_t root_version = 0;           // newest root when this was signed; 0: a bare key
  std::optional<Digest> revocation_digest;  // of revocations.json, when there is one
  // Why the channel leads to a release whose base image is stale; mostly empty.
  std::string stale_base_reason;

  bool operator==(const ChannelPointer&) const = default;
};

inline constexpr std::size_t kMaxPointerReasonBytes = 1024;

// The exact bytes to sign. Throws Error{statement_invalid} for a field out of its range.
std::string encode_pointer(const ChannelPointer& pointer);
// As parse_statement, with kMaxPointerBytes.
ChannelPointer parse_pointer(std::string_view json, std::string_view what);

}  // namespace bundle::trust
