#include "trust/root_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "codec/json.h"
#include "crypto/digest.h"

namespace bundle::trust {
namespace {

using codec::Json;

// The TUF specification that the documents follow.
constexpr std::string_view kTufVersion = "1.0.34";
constexpr int kIndent = 2;

[[noreturn]] void refuse(std::string message) {
  throw Error(ErrorCode::usage, std::move(message));
}

RootRole& existing_role(RootMetadata& root, std::string_view role) {
  const auto found = root.roles.find(role);
  if (found == root.roles.end()) refuse(fmt::format("the trust root has no role '{}'", role));
  return found->second;
}

Json encode_keys(const RootMetadata& root) {
  Json keys = Json::object();
  for (const auto& [id, key] : root.keys) {
    Json value;
    value.set("public", to_hex(key.key));
    Json object;
    object.set("keytype", "ed25519");
    object.set("scheme", "ed25519");
    object.set("keyval", std::move(value));
    keys.set(id, std::move(object));
  }
  return keys;
}

Json encode_roles(const RootMetadata& root) {
  Json roles = Json::object();
  for (const auto& [name, role] : root.roles) {
    Json ids = Json::array();
    for (const std::string& id : role.key_ids) ids.push_back(id);
    Json object;
    object.set("keyids", std::move(ids));
    object.set("threshold", role.threshold);
    roles.set(name, std::move(object));
  }
  return roles;
}

Json encode_minisign_ids(const RootMetadata& root) {
  Json ids = Json::object();
  for (const auto& [id, key] : root.keys) {
    if (key.minisign_id) ids.set(id, key.minisign_id->text());
  }
  return ids;
}

// Keeps the signed part as it is: members that this program does not know stay.
std::string with_signatures(Json document,
                            const std::map<std::string, Ed25519Signature, std::less<>>& all) {
  Json signatures = Json::array();
  for (const auto& [id, signature] : all) {
    Json entry;
    entry.set("keyid", id);
    entry.set("sig", to_hex(signature));
    signatures.push_back(std::move(entry));
  }
  document.set("signatures", std::move(signatures));
  return codec::dump_json(document, kIndent) + "\n";
}

// The TUF key id of who made `signature`.
std::string identify(const MinisignSignature& signature, const UnverifiedRoot& root,
                     const Signer& signer) {
  const ByteView message = as_bytes(root.signed_bytes);
  if (const auto key = signer.public_key()) {
    if (!signature.verifies(key->key, message)) {
      throw Error(ErrorCode::signer_failed, "the signer's signature does not match its public key");
    }
    return tuf_key_id(key->key);
  }
  for (const auto& [id, key] : root.metadata.keys) {
    if (signature.verifies(key.key, message)) return id;
  }
  refuse("the signing key is not in this trust root; give its public key too");
}

}  // namespace

RootMetadata next_root(const RootMetadata& current, UnixTime expires) {
  RootMetadata next = current;
  next.version = current.version + 1;
  next.expires = expires;
  return next;
}

std::string add_key(RootMetadata& root, std::string_view role, const MinisignPublicKey& key) {
  const std::string id = tuf_key_id(key.key);
  RootRole& entry = root.roles.try_emplace(std::string(role), RootRole{{}, 1}).first->second;
  if (std::ranges::find(entry.key_ids, id) != entry.key_ids.end()) {
    refuse(fmt::format("key {} has the role '{}' already", key.id.text(), role));
  }
  entry.key_ids.insert(std::ranges::upper_bound(entry.key_ids, id), id);
  root.keys.insert_or_assign(id, RootKey{id, key.key, key.id});
  return id;
}

void remove_key(RootMetadata& root, std::string_view role, std::string_view key_id) {
  RootRole& entry = existing_role(root, role);
  const auto found = std::ranges::find(entry.key_ids, key_id);
  if (found == entry.key_ids.end()) {
    refuse(fmt::format("key {} does not have the role '{}'", key_id, role));
  }
  if (entry.key_ids.size() <= entry.threshold) {
    refuse(
        fmt::format("role '{}' needs {} keys and has {}: add the new key first, or lower the "
                    "threshold",
                    role, entry.threshold, entry.key_ids.size()));
  }
  entry.key_ids.erase(found);
  const bool used = std::ranges::any_of(root.roles, [&](const auto& other) {
    return std::ranges::find(other.second.key_ids, key_id) != other.second.key_ids.end();
  });
  if (!used) std::erase_if(root.keys, [&](const auto& key) { return key.first == key_id; });
}

void set_threshold(RootMetadata& root, std::string_view role, std::uint64_t threshold) {
  RootRole& entry = existing_role(root, role);
  if (threshold < 1 || threshold > entry.key_ids.size()) {
    refuse(fmt::format("role '{}' has {} keys, so its threshold can be 1 to {}, not {}", role,
                       entry.key_ids.size(), entry.key_ids.size(), threshold));
  }
  entry.threshold = threshold;
}

std::string encode_root(const RootMetadata& root) {
  if (!root.expires) throw Error(ErrorCode::root_invalid, "a trust root needs an expiry date");
  Json body = Json::object();
  body.set("_type", "root");
  body.set("spec_version", kTufVersion);
  body.set("version", root.version);
  body.set("expires", format_time(*root.expires));
  body.set("consistent_snapshot", false);
  body.set("keys", encode_keys(root));
  body.set("roles", encode_roles(root));
  body.set(std::string(kMinisignIdsMember), encode_minisign_ids(root));
  Json document = Json::object();
  document.set("signed", std::move(body));
  std::string encoded = with_signatures(std::move(document), {});
  parse_root(encoded, "new trust root");
  return encoded;
}

std::string sign_root(std::string_view root_json, Signer& signer) {
  UnverifiedRoot root = parse_root(root_json, "trust root");
  const MinisignSignature signature = signer.sign(
      as_bytes(root.signed_bytes), fmt::format("trust root version {}", root.metadata.version));
  root.signatures.insert_or_assign(identify(signature, root, signer), signature.signature);
  return with_signatures(codec::parse_json(root_json, "trust root"), root.signatures);
}

std::string merge_roots(std::string_view one, std::string_view other) {
  UnverifiedRoot merged = parse_root(one, "first trust root");
  const UnverifiedRoot added = parse_root(other, "second trust root");
  if (merged.signed_bytes != added.signed_bytes) {
    throw Error(ErrorCode::statement_mismatch, "the two trust roots differ in what they say",
                "Merge copies of one root document that were signed on different machines.");
  }
  // A signature that holds wins over one that was damaged, whichever copy has it.
  for (const auto& [id, signature] : added.signatures) {
    const auto key = merged.metadata.keys.find(id);
    const bool holds = key == merged.metadata.keys.end() ||
                       verify_ed25519(key->second.key, as_bytes(added.signed_bytes), signature);
    if (holds) merged.signatures.insert_or_assign(id, signature);
  }
  return with_signatures(codec::parse_json(one, "first trust root"), merged.signatures);
}

MissingSignatures missing_signatures(std::string_view root_json, const RootMetadata* previous) {
  const UnverifiedRoot root = parse_root(root_json, "trust root");
  const auto missing = [&](const RootMetadata& signer) {
    const std::uint64_t wanted = find_role(signer, role::kRoot)->threshold;
    const std::uint64_t count = count_root_signatures(root, signer);
    return wanted > count ? wanted - count : 0;
  };
  return {missing(root.metadata), previous == nullptr ? 0 : missing(*previous)};
}

}  // namespace bundle::trust
