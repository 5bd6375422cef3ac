// What TUF root metadata says, and whether a set of its keys signed it.
// Source: theupdateframework/specification, tuf-spec.md (1.0.34), sections 4.2 and 4.3.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "crypto/minisign.h"

namespace bundle::trust {

// The roles of a root. `root` and `timestamp` as in TUF; `release` signs statements and revocation
// lists, `carrier` signs carriers.
namespace role {
inline constexpr std::string_view kRoot = "root";
inline constexpr std::string_view kRelease = "release";
inline constexpr std::string_view kTimestamp = "timestamp";
inline constexpr std::string_view kCarrier = "carrier";
}  // namespace role

struct RootKey {
  std::string id;  // TUF key id: hex SHA-256 of the canonical key object
  Ed25519PublicKey key{};
  // What the key's minisign files say; lets a broken signature be told from a foreign one.
  std::optional<MinisignKeyId> minisign_id;
  bool operator==(const RootKey&) const = default;
};

struct RootRole {
  std::vector<std::string> key_ids;
  std::uint64_t threshold = 0;
  bool operator==(const RootRole&) const = default;
};

// What a root says. Built by root_builder.h when writing; read through TrustRoot.
struct RootMetadata {
  std::uint64_t version = 0;  // 0: a bare key, which stands before version 1
  std::optional<UnixTime> expires;
  std::map<std::string, RootKey, std::less<>> keys;  // by TUF key id
  std::map<std::string, RootRole, std::less<>> roles;
  bool operator==(const RootMetadata&) const = default;
};

// TUF key id of an Ed25519 key.
std::string tuf_key_id(const Ed25519PublicKey& key);

// A root document that has been read but not accepted: nothing here is trusted yet.
struct UnverifiedRoot {
  RootMetadata metadata;
  std::string signed_bytes;  // canonical JSON of the "signed" member: what is signed
  std::map<std::string, Ed25519Signature, std::less<>> signatures;  // by TUF key id
};

// Members of root metadata beside those of TUF: {TUF key id: minisign key id}.
inline constexpr std::string_view kMinisignIdsMember = "x-minisign-key-ids";

// Reads {"signatures": [...], "signed": {...}}. Keys of another type than Ed25519 are passed over,
// as TUF demands, and never count. Throws Error{root_invalid} naming `what`, Error{limit}.
UnverifiedRoot parse_root(std::string_view json, std::string_view what);

// How many different keys of `signer`'s root role have signed `root`.
std::size_t count_root_signatures(const UnverifiedRoot& root, const RootMetadata& signer);
// The role; nullptr when `metadata` does not name it.
const RootRole* find_role(const RootMetadata& metadata, std::string_view role);
// The usable keys of a role, each public key once.
std::vector<const RootKey*> role_keys(const RootMetadata& metadata, const RootRole& role);

}  // namespace bundle::trust
