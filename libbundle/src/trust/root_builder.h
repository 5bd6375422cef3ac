// Making and changing trust roots: the vendor's side. The read path never includes this file.
//
// A new chain:  RootMetadata root; add_key(...) per role; root.version = 1; encode_root; sign_root.
// A rotation:   next_root(current); add_key, remove_key, set_threshold; encode_root; then sign_root
//               by enough keys of the current and of the new root, on as many machines as needed;
//               merge_roots brings the copies together; missing_signatures tells what is left.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "crypto/signer.h"
#include "trust/trust_root.h"

namespace bundle::trust {

// Version 1 above a bare key, so that sites which pinned the key can follow; its signature is
// needed. Otherwise current.version + 1 with everything else as it was.
RootMetadata next_root(const RootMetadata& current, UnixTime expires);

// Lets `key` sign for `role`; a role that is new gets threshold 1. Returns the TUF key id.
// Throws Error{usage} when the key has the role already.
std::string add_key(RootMetadata& root, std::string_view role, const MinisignPublicKey& key);
// Takes the role from the key, and the key from the root when no other role names it.
// Throws Error{usage} when it does not have the role or too few keys would be left.
void remove_key(RootMetadata& root, std::string_view role, std::string_view key_id);
// Throws Error{usage} unless 1 <= threshold <= number of keys.
void set_threshold(RootMetadata& root, std::string_view role, std::uint64_t threshold);

// The JSON document without signatures. Throws Error{root_invalid} for what a reader would refuse.
std::string encode_root(const RootMetadata& root);
// `root_json` with `signer`'s signature added (or replaced). Signs the canonical "signed" part.
// The signer's public key must be known or be in `root_json`; throws Error{usage} otherwise.
std::string sign_root(std::string_view root_json, Signer& signer);
// The signatures of both copies of one root. Throws Error{statement_mismatch} when their signed
// parts differ.
std::string merge_roots(std::string_view one, std::string_view other);

// How many more signatures a root needs before sites accept it.
struct MissingSignatures {
  std::uint64_t own = 0;       // by its own root keys
  std::uint64_t previous = 0;  // by the root keys of the version before
  bool operator==(const MissingSignatures&) const = default;
};
// `previous` may be nullptr for the first root of a chain.
MissingSignatures missing_signatures(std::string_view root_json, const RootMetadata* previous);

}  // namespace bundle::trust
