// The files of minisign (https://jedisct1.github.io/minisign/): public key, secret key, signature.
// Source of the formats: jedisct1/minisign, src/minisign.h and src/minisign.c.
//
// Only the algorithm "Ed" is used: Ed25519 over the message itself, so that minisign, signify and
// openssl verify the same 64 bytes. The prehashed "ED" is refused with its own message.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/ed25519.h"

namespace bundle {

// No minisign file is larger: two comments (1 KiB and 8 KiB) and two base64 lines.
inline constexpr std::size_t kMaxMinisignFileBytes = 16 * 1024;
// Longest untrusted and trusted comment, as in minisign.
inline constexpr std::size_t kMaxUntrustedComment = 1024;
inline constexpr std::size_t kMaxTrustedComment = 8192;
// scrypt cost that a key file may demand; both are what `minisign -G` itself writes at most
// (libsodium's SENSITIVE): about 4 seconds and 1 GiB.
inline constexpr std::uint64_t kMaxScryptOps = 33554432;
inline constexpr std::uint64_t kMaxScryptMemory = 1073741824;
// scrypt cost that keys are written with: N = 2^17, r = 8, p = 1, that is 128 MiB.
inline constexpr std::uint64_t kScryptOps = 4194304;
inline constexpr std::uint64_t kScryptMemory = 134217728;

// Eight bytes that name a key in minisign files. A hint only: anyone can write any id.
struct MinisignKeyId {
  std::array<std::uint8_t, 8> bytes{};

  // As minisign prints it: the little-endian number as 16 upper-case hex digits.
  std::string text() const;
  static std::optional<MinisignKeyId> parse(std::string_view text);  // what text() writes
  auto operator<=>(const MinisignKeyId&) const = default;
};

struct MinisignPublicKey {
  MinisignKeyId id;
  Ed25519PublicKey key{};

  // The two-line file, or its base64 line alone. Throws Error{key_invalid} naming `what`.
  static MinisignPublicKey parse(std::string_view text, std::string_view what);
  std::string text() const;    // the two-line file
  std::string base64() const;  // what `minisign -P` takes
  bool operator==(const MinisignPublicKey&) const = default;
};

struct MinisignSignature {
  MinisignKeyId key_id;
  Ed25519Signature signature{};
  std::string untrusted_comment;
  std::string trusted_comment;
  Ed25519Signature global_signature{};

  // Four lines. Throws Error{signature_malformed} naming `what` (the file) and the line.
  static MinisignSignature parse(std::string_view text, std::string_view what);
  std::string text() const;

  // True when the first signature is `key`'s over `message`.
  bool verifies(const Ed25519PublicKey& key, ByteView message) const;
  // True when the trusted comment is the one that `key` signed together with this signature.
  bool comment_verifies(const Ed25519PublicKey& key) const;
};

class MinisignSecretKey {
 public:
  // New key, random key id.
  static MinisignSecretKey generate();
  MinisignSecretKey(const MinisignKeyId& id, Ed25519SecretKey key);

  // True when opening `text` needs a password. Throws Error{key_invalid}.
  static bool is_encrypted(std::string_view text, std::string_view what);
  // `password` is ignored for a key that is not encrypted. Throws Error{key_invalid|limit}, and
  // Error{password_wrong} when the password does not open the key.
  // Peak memory: what the file's scrypt parameters say, at most kMaxScryptMemory.
  static MinisignSecretKey parse(std::string_view text, ByteView password, std::string_view what);

  MinisignPublicKey public_key() const { return {id_, key_.public_key()}; }
  const Ed25519SecretKey& key() const { return key_; }

  // The key file's text; readable by minisign. Encrypted needs 128 MiB for scrypt.
  SecretBytes text_unencrypted() const;
  SecretBytes text_encrypted(ByteView password) const;

  // A signature file's content over `message`. Deterministic: the caller passes the comment (one
  // line of printable ASCII, at most kMaxTrustedComment bytes; throws Error{usage} otherwise).
  MinisignSignature sign(ByteView message, std::string_view trusted_comment) const;

 private:
  MinisignKeyId id_;
  Ed25519SecretKey key_;
};

}  // namespace bundle
