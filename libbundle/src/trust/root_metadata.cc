#include "trust/root_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "bundle/error.h"
#include "codec/json.h"
#include "crypto/digest.h"
#include "trust/document.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

using codec::Json;

constexpr std::size_t kMaxDepth = 16;
constexpr std::string_view kKeyType = "ed25519";

// Reads one root document; knows its name for messages.
class RootReader {
 public:
  explicit RootReader(std::string_view what) : what_(what) {}

  UnverifiedRoot read(std::string_view text) const {
    check_size(what_, text.size(), kMaxRootBytes);
    UnverifiedRoot root;
    try {
      const Json document =
          codec::parse_json(text, what_, {.max_bytes = kMaxRootBytes, .max_depth = kMaxDepth});
      const Json& body = document.at("signed");
      root.signed_bytes = codec::canonical_json(body);
      root.signatures = read_signatures(document.at("signatures"));
      root.metadata = read_body(body);
    } catch (const Error& error) {
      // The adapter's own errors (malformed, missing member, wrong type) in this room's words.
      if (error.code() != ErrorCode::json_invalid && error.code() != ErrorCode::limit) throw;
      const bool named = error.message().starts_with(what_);
      fail(named ? std::string_view(error.message()).substr(what_.size() + 2) : error.message());
    }
    return root;
  }

 private:
  [[noreturn]] void fail(std::string_view problem) const {
    throw Error(ErrorCode::root_invalid, fmt::format("{}: {}", what_, problem),
                "Copy the trust root again from its origin, or ask the vendor for it.");
  }

  void check_count(std::size_t count, std::size_t limit, std::string_view things) const {
    if (count > limit) fail(fmt::format("{} {}, more than the limit of {}", count, things, limit));
  }

  std::uint64_t read_number(const Json& value, std::string_view name) const {
    if (!value.is_int() || value.as_int() < 1 ||
        static_cast<std::uint64_t>(value.as_int()) > kMaxJsonNumber) {
      fail(fmt::format("\"{}\" is not a whole number of 1 or more", name));
    }
    return static_cast<std::uint64_t>(value.as_int());
  }

  // Not a signature of 64 bytes: some other scheme's, which cannot count here.
  std::map<std::string, Ed25519Signature, std::less<>> read_signatures(const Json& list) const {
    check_count(list.as_array().size(), kMaxRootSignatures, "signatures");
    std::map<std::string, Ed25519Signature, std::less<>> signatures;
    std::set<std::string> seen;
    for (const Json& entry : list.as_array()) {
      const std::string& key_id = entry.at("keyid").as_string();
      if (!seen.insert(key_id).second) {
        fail(fmt::format("two signatures by key {}", key_id.substr(0, 64)));
      }
      const auto bytes = from_hex(entry.at("sig").as_string());
      Ed25519Signature signature{};
      if (!bytes || bytes->size() != signature.size()) continue;
      std::ranges::copy(*bytes, signature.begin());
      signatures.emplace(key_id, signature);
    }
    return signatures;
  }

  RootMetadata read_body(const Json& body) const {
    if (body.at("_type").as_string() != "root") fail("its \"_type\" is not \"root\"");
    const std::string& spec_version = body.at("spec_version").as_string();
    const auto major = major_version(spec_version);
    if (!major) fail("\"spec_version\" is malformed");
    if (*major != kMajorVersion) {
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: written for TUF {}, this program reads 1.x", what_, spec_version),
          "Install a newer version of this program first.");
    }
    RootMetadata metadata;
    metadata.version = read_number(body.at("version"), "version");
    metadata.expires = parse_time(body.at("expires").as_string());
    if (!metadata.expires) fail("\"expires\" is not a time like 2026-11-23T15:00:00Z");
    const Json& keys = body.at("keys");
    read_keys(keys, metadata);
    if (const Json* ids = body.find(kMinisignIdsMember)) read_minisign_ids(*ids, metadata);
    read_roles(body.at("roles"), keys, metadata);
    return metadata;
  }

  void read_keys(const Json& keys, RootMetadata& metadata) const {
    check_count(keys.as_object().size(), kMaxRootKeys, "keys");
    for (const auto& [id, object] : keys.as_object()) {
      // One id a key, whatever its type: ids are what people compare.
      if (sha256(as_bytes(codec::canonical_json(object))).hex() != id) {
        fail(fmt::format("key id {} is not the SHA-256 of its key", id.substr(0, 64)));
      }
      if (object.at("keytype").as_string() != kKeyType ||
          object.at("scheme").as_string() != kKeyType) {
        continue;
      }
      const auto bytes = from_hex(object.at("keyval").at("public").as_string());
      RootKey key{.id = id, .key = {}, .minisign_id = {}};
      if (!bytes || bytes->size() != key.key.size()) {
        fail(fmt::format("key {} is not 64 hex digits", id));
      }
      std::ranges::copy(*bytes, key.key.begin());
      metadata.keys.emplace(id, std::move(key));
    }
  }

  void read_minisign_ids(const Json& ids, RootMetadata& metadata) const {
    check_count(ids.as_object().size(), kMaxRootKeys, "minisign key ids");
    for (const auto& [id, value] : ids.as_object()) {
      const auto found = metadata.keys.find(id);
      const auto minisign_id = MinisignKeyId::parse(value.as_string());
      if (found == metadata.keys.end() || !minisign_id) {
        fail(fmt::format("a malformed entry in \"{}\"", kMinisignIdsMember));
      }
      found->second.minisign_id = minisign_id;
    }
  }

  void read_roles(const Json& roles, const Json& keys, RootMetadata& metadata) const {
    check_count(roles.as_object().size(), kMaxRoles, "roles");
    for (const auto& [name, object] : roles.as_object()) {
      RootRole role;
      role.threshold = read_number(object.at("threshold"), "threshold");
      const auto& ids = object.at("keyids").as_array();
      check_count(ids.size(), kMaxRootKeys, "keys of one role");
      for (const Json& id : ids) {
        const std::string& key_id = id.as_string();
        if (std::ranges::find(role.key_ids, key_id) != role.key_ids.end()) {
          fail(fmt::format("role \"{}\" names key {} twice", name.substr(0, 100),
                           key_id.substr(0, 64)));
        }
        if (keys.find(key_id) == nullptr) {
          fail(fmt::format("role \"{}\" names key {}, which is not there", name.substr(0, 100),
                           key_id.substr(0, 64)));
        }
        role.key_ids.push_back(key_id);
      }
      metadata.roles.emplace(name, std::move(role));
    }
    if (!metadata.roles.contains(role::kRoot)) fail("it has no role \"root\"");
  }

  std::string_view what_;
};

}  // namespace

std::string tuf_key_id(const Ed25519PublicKey& key) {
  Json value;
  value.set("public", to_hex(key));
  Json object;
  object.set("keytype", kKeyType);
  object.set("scheme", kKeyType);
  object.set("keyval", std::move(value));
  return sha256(as_bytes(codec::canonical_json(object))).hex();
}

UnverifiedRoot parse_root(std::string_view json, std::string_view what) {
  return RootReader(what).read(json);
}

const RootRole* find_role(const RootMetadata& metadata, std::string_view role) {
  const auto found = metadata.roles.find(role);
  return found == metadata.roles.end() ? nullptr : &found->second;
}

std::vector<const RootKey*> role_keys(const RootMetadata& metadata, const RootRole& role) {
  std::vector<const RootKey*> keys;
  for (const std::string& id : role.key_ids) {
    const auto found = metadata.keys.find(id);
    if (found == metadata.keys.end()) continue;
    const RootKey* candidate = &found->second;
    // The same key under two ids (with an unknown member in one key object) counts once.
    const auto same = [&](const RootKey* other) { return other->key == candidate->key; };
    if (std::ranges::none_of(keys, same)) keys.push_back(candidate);
  }
  return keys;
}

std::size_t count_root_signatures(const UnverifiedRoot& root, const RootMetadata& signer) {
  const RootRole* role = find_role(signer, role::kRoot);
  if (role == nullptr) return 0;
  const auto keys = role_keys(signer, *role);
  return static_cast<std::size_t>(std::ranges::count_if(keys, [&](const RootKey* key) {
    const auto found = root.signatures.find(key->id);
    return found != root.signatures.end() &&
           verify_ed25519(key->key, as_bytes(root.signed_bytes), found->second);
  }));
}

}  // namespace bundle::trust
