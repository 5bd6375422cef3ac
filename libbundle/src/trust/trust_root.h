// The trust root: who may sign what. TUF 1.0 root metadata, or one bare minisign public key.
// Source: theupdateframework/specification, tuf-spec.md (1.0.34), sections 4.3 and 5.3.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "crypto/minisign.h"
#include "trust/root_metadata.h"
#include "trust/verified.h"

namespace bundle::trust {

// A small file as it was found: `name` is for messages (give the path), `content` its bytes.
struct SignatureFile {
  std::string name;
  std::string content;
};
using RootFile = SignatureFile;

// Immutable; cheap to copy; thread-safe.
//
// `now` is the time that expiry dates are compared with (TrustState::effective_now). Without it no
// expiry is checked: only for documents that this site has accepted before.
class TrustRoot {
 public:
  // A root with one key that may sign for every role: version 0, no expiry.
  // `text` is a minisign public key. Throws Error{key_invalid} naming `what`.
  static TrustRoot from_public_key(std::string_view text, std::string_view what);
  // TUF root metadata. Must be signed by the threshold of its own root role.
  // Throws Error{root_invalid} naming `what`, Error{limit} past kMaxRootBytes.
  static TrustRoot parse(std::string_view root_json, std::string_view what);
  // Either of the two, by its first character.
  static TrustRoot load(std::string_view text, std::string_view what);

  const RootMetadata& metadata() const;
  std::uint64_t version() const { return metadata().version; }
  bool is_bare_key() const { return version() == 0; }
  // The text that it was made from.
  const std::string& raw() const;

  // SHA-256 of the canonical "signed" part; of a bare key: its TUF key id. 64 hex digits in groups
  // of four, as people read them aloud.
  std::string fingerprint() const;
  // `text` with or without spaces, colons and dashes, any case; all 64 digits or no match.
  bool matches(std::string_view text) const;

  // The next root of the chain: exactly version() + 1, signed by the thresholds of this root and of
  // its own. Throws Error{root_chain_broken} naming the link. Expiry is not looked at here.
  TrustRoot update(std::string_view next_root_json, std::string_view what) const;
  // Every link from here as far as `roots` go (any order; versions up to this one are ignored).
  // Throws Error{root_chain_broken} when a version between is missing or a link is not signed.
  // A bare key follows a chain only when it signed root 1; otherwise there are no links: the key
  // may be one that the vendor uses beside its roots.
  std::vector<TrustRoot> newer_roots(std::span<const RootFile> roots) const;
  // The last of newer_roots(), or this one.
  TrustRoot update_all(std::span<const RootFile> roots) const;

  // Signatures are checked over the raw bytes before a byte of them is parsed. Throws
  //   limit, unsigned_release, signature_malformed, signature_invalid, wrong_key, threshold_unmet,
  //   expired (the document, or this root), root_invalid (this root names no such role),
  //   statement_invalid or unsupported (after the signatures).
  VerifiedRelease verify_release(std::string_view statement_json,
                                 std::span<const SignatureFile> signatures,
                                 std::optional<UnixTime> now,
                                 std::string_view what = "statement.json") const;
  // Also Error{statement_mismatch} when the carrier belongs to another release.
  VerifiedCarrier verify_carrier(std::string_view carrier_json,
                                 std::span<const SignatureFile> signatures,
                                 const VerifiedRelease& release, std::optional<UnixTime> now,
                                 std::string_view what = "carrier.json") const;
  VerifiedPointer verify_pointer(std::string_view pointer_json,
                                 std::span<const SignatureFile> signatures,
                                 std::optional<UnixTime> now,
                                 std::string_view what = "channel pointer") const;
  // Expiry of this root is compared with the statement's own time: the clock is what is wrong.
  VerifiedTime verify_time(std::string_view time_json, std::span<const SignatureFile> signatures,
                           std::string_view what = "time.json") const;
  // A revocation list does not expire.
  VerifiedRevocations verify_revocations(std::string_view list_json,
                                         std::span<const SignatureFile> signatures,
                                         std::optional<UnixTime> now,
                                         std::string_view what = "revocations.json") const;

  // Throws Error{expired} when this root is past its date.
  void require_unexpired(std::optional<UnixTime> now) const;
  // How many of `signers` (TUF key ids) have the role and are not among `revoked`, which is sorted.
  std::size_t count_signers(std::string_view role, std::span<const std::string> signers,
                            std::span<const std::string> revoked) const;

 private:
  struct Parts;
  explicit TrustRoot(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

  std::vector<std::string> check_signatures(std::string_view role, std::string_view raw,
                                            std::span<const SignatureFile> signatures,
                                            std::string_view what) const;
  // Without signature checks: for who has made them.
  static TrustRoot accept(UnverifiedRoot root, std::string_view raw);
  static void check_expiry(UnixTime expires, std::optional<UnixTime> created,
                           std::optional<UnixTime> now, std::string_view what);

  std::shared_ptr<const Parts> parts_;
};

// The fingerprint of a root from its canonical "signed" part, in groups of four digits.
std::string root_fingerprint(std::string_view signed_bytes);

// The root among `roots` whose fingerprint is `fingerprint`; nothing when there is none.
// Roots that cannot be read are passed over.
std::optional<TrustRoot> find_root(std::span<const RootFile> roots, std::string_view fingerprint);

// "statement.json" and a signature of key id 0123... -> "statement.0123456789ABCDEF.minisig".
std::string signature_file_name(std::string_view document_name, const MinisignSignature& signature);

}  // namespace bundle::trust
