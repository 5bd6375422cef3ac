// TrustRoot's checks of detached signatures.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "bundle/error.h"
#include "trust/document.h"
#include "trust/limits.h"
#include "trust/trust_root.h"

namespace bundle::trust {
namespace {

// Refuses before anything is read or hashed.
void check_sizes(std::string_view raw, std::size_t max_bytes,
                 std::span<const SignatureFile> signatures, std::string_view what) {
  check_size(what, raw.size(), max_bytes);
  if (signatures.empty()) {
    throw Error(ErrorCode::unsigned_release, fmt::format("{} carries no signature", what),
                "Sign it with 'bundle-make sign', or get the signed copy from the vendor.");
  }
  if (signatures.size() > kMaxSignatureFiles) {
    throw Error(ErrorCode::limit,
                fmt::format("{}: {} signature files, more than the limit of {}", what,
                            signatures.size(), kMaxSignatureFiles),
                "Remove signature files that are not the vendor's.");
  }
}

// The key whose signature this is; nullptr when none of `keys` made it. A key that the signature
// names must have made it. Throws Error{signature_invalid}.
const RootKey* find_signer(const MinisignSignature& signature, std::span<const RootKey* const> keys,
                           std::string_view raw, const std::string& file) {
  for (const RootKey* key : keys) {
    if (!signature.verifies(key->key, as_bytes(raw))) continue;
    if (signature.comment_verifies(key->key)) return key;
    throw Error(ErrorCode::signature_invalid,
                fmt::format("{}: the trusted comment was changed", file),
                "Copy the signature file again from its origin.");
  }
  const bool named = std::ranges::any_of(
      keys, [&](const RootKey* key) { return key->minisign_id == signature.key_id; });
  if (named) {
    throw Error(ErrorCode::signature_invalid,
                fmt::format("{}: key {} did not sign these bytes", file, signature.key_id.text()),
                "The signed file or the signature was changed. Copy both again from their origin.");
  }
  return nullptr;
}

std::string known_keys(std::span<const RootKey* const> keys) {
  std::string list;
  for (const RootKey* key : keys) {
    if (!list.empty()) list += ", ";
    list += key->minisign_id ? key->minisign_id->text() : key->id.substr(0, 16);
  }
  return list.empty() ? "none" : list;
}

}  // namespace

std::vector<std::string> TrustRoot::check_signatures(std::string_view role_name,
                                                     std::string_view raw,
                                                     std::span<const SignatureFile> signatures,
                                                     std::string_view what) const {
  const RootRole* role = find_role(metadata(), role_name);
  if (role == nullptr) {
    throw Error(ErrorCode::root_invalid,
                fmt::format("trust root {} has no role \"{}\", so nothing can verify {}", version(),
                            role_name, what),
                "Use the vendor's trust root for this product.");
  }
  const auto keys = role_keys(metadata(), *role);
  std::set<std::string> signers;
  std::string foreign;
  for (const SignatureFile& file : signatures) {
    const MinisignSignature signature = MinisignSignature::parse(file.content, file.name);
    if (const RootKey* key = find_signer(signature, keys, raw, file.name)) {
      signers.insert(key->id);
    } else {
      foreign += (foreign.empty() ? "" : ", ") + signature.key_id.text();
    }
  }
  if (signers.empty()) {
    throw Error(ErrorCode::wrong_key,
                fmt::format("{} is signed by key {}, but only these keys of trust root {} may sign "
                            "it: {}",
                            what, foreign, version(), known_keys(keys)),
                "It comes from someone else, or this site's trust root is too old: bring a medium "
                "that carries the vendor's newer roots.");
  }
  if (signers.size() < role->threshold) {
    throw Error(ErrorCode::threshold_unmet,
                fmt::format("{} has valid signatures of {} of the {} keys that trust root {} "
                            "demands",
                            what, signers.size(), role->threshold, version()),
                "Get the missing signature files from the vendor and put them beside the others.");
  }
  return {signers.begin(), signers.end()};
}

VerifiedRelease TrustRoot::verify_release(std::string_view statement_json,
                                          std::span<const SignatureFile> signatures,
                                          std::optional<UnixTime> now,
                                          std::string_view what) const {
  check_sizes(statement_json, kMaxStatementBytes, signatures, what);
  require_unexpired(now);
  auto signers = check_signatures(role::kRelease, statement_json, signatures, what);
  Statement statement = parse_statement(statement_json, what);
  check_expiry(statement.expires, statement.created, now,
               fmt::format("{} of release {}", what, statement.version));
  return {std::move(statement), std::string(statement_json), std::move(signers), version()};
}

VerifiedCarrier TrustRoot::verify_carrier(std::string_view carrier_json,
                                          std::span<const SignatureFile> signatures,
                                          const VerifiedRelease& release,
                                          std::optional<UnixTime> now,
                                          std::string_view what) const {
  check_sizes(carrier_json, kMaxCarrierBytes, signatures, what);
  require_unexpired(now);
  auto signers = check_signatures(role::kCarrier, carrier_json, signatures, what);
  Carrier carrier = parse_carrier(carrier_json, what);
  if (carrier.statement_digest != release.digest()) {
    throw Error(
        ErrorCode::statement_mismatch,
        fmt::format("{} carries another release than {} (statement {} instead of {})", what,
                    release->version, carrier.statement_digest.text(), release.digest().text()),
        "Files of two bundles are mixed. Copy one bundle again as a whole.");
  }
  return {std::move(carrier), std::string(carrier_json), std::move(signers), version()};
}

VerifiedPointer TrustRoot::verify_pointer(std::string_view pointer_json,
                                          std::span<const SignatureFile> signatures,
                                          std::optional<UnixTime> now,
                                          std::string_view what) const {
  check_sizes(pointer_json, kMaxPointerBytes, signatures, what);
  require_unexpired(now);
  auto signers = check_signatures(role::kTimestamp, pointer_json, signatures, what);
  ChannelPointer pointer = parse_pointer(pointer_json, what);
  check_expiry(pointer.expires, pointer.created, now,
               fmt::format("{} of channel {}", what, pointer.channel));
  return {std::move(pointer), std::string(pointer_json), std::move(signers), version()};
}

VerifiedTime TrustRoot::verify_time(std::string_view time_json,
                                    std::span<const SignatureFile> signatures,
                                    std::string_view what) const {
  check_sizes(time_json, kMaxTimeBytes, signatures, what);
  auto signers = check_signatures(role::kRoot, time_json, signatures, what);
  TimeStatement statement = parse_time_statement(time_json, what);
  require_unexpired(statement.created);
  return {std::move(statement), std::string(time_json), std::move(signers), version()};
}

VerifiedRevocations TrustRoot::verify_revocations(std::string_view list_json,
                                                  std::span<const SignatureFile> signatures,
                                                  std::optional<UnixTime> now,
                                                  std::string_view what) const {
  check_sizes(list_json, kMaxRevocationBytes, signatures, what);
  require_unexpired(now);
  auto signers = check_signatures(role::kRelease, list_json, signatures, what);
  RevocationList list = parse_revocations(list_json, what);
  return {std::move(list), std::string(list_json), std::move(signers), version()};
}

}  // namespace bundle::trust
