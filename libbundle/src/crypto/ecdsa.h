// ECDSA over P-256 with SHA-256 (FIPS 186-5), signatures in ASN.1 DER, by OpenSSL: what cosign and
// Flux verify in the cluster. A release's own chain of trust uses Ed25519 only (ed25519.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "crypto/secret_bytes.h"

namespace bundle {

// No key file that is read here is larger: a PEM of a P-256 key has some hundred bytes.
inline constexpr std::size_t kMaxPemBytes = 16 * 1024;
// A DER signature of P-256 has at most 72 bytes.
inline constexpr std::size_t kMaxEcdsaSignature = 72;

// OpenSSL's EVP_PKEY, not shown.
struct EvpKey;
struct FreeEvpKey {
  void operator()(EvpKey* key) const;
};

// Immutable, cheap to copy, thread-safe.
class EcdsaPublicKey {
 public:
  // "-----BEGIN PUBLIC KEY-----" (SubjectPublicKeyInfo), what cosign.pub holds. Throws
  // Error{key_invalid} naming `what`, also for keys on other curves and of other algorithms.
  static EcdsaPublicKey parse_pem(std::string_view pem, std::string_view what);

  // True when `signature` is this key's DER signature over SHA-256 of `message`.
  bool verifies(ByteView message, ByteView signature) const;
  Bytes der() const;        // SubjectPublicKeyInfo
  std::string pem() const;  // the same as PEM

 private:
  friend class EcdsaPrivateKey;
  explicit EcdsaPublicKey(std::shared_ptr<EvpKey> key) : key_(std::move(key)) {}
  std::shared_ptr<EvpKey> key_;
};

// Move-only. Signing is thread-safe and randomised: two signatures of one message differ.
class EcdsaPrivateKey {
 public:
  static EcdsaPrivateKey generate();
  // PKCS#8 ("PRIVATE KEY"), PKCS#8 with a password ("ENCRYPTED PRIVATE KEY") or SEC 1 ("EC PRIVATE
  // KEY"). Throws Error{key_invalid}, Error{password_wrong}.
  static EcdsaPrivateKey parse_pem(ByteView pem, ByteView password, std::string_view what);
  // PKCS#8 in DER, what is inside of cosign's encrypted keys. Throws Error{key_invalid}.
  static EcdsaPrivateKey parse_der(ByteView pkcs8, std::string_view what);

  EcdsaPublicKey public_key() const;
  // DER, at most kMaxEcdsaSignature bytes.
  Bytes sign(ByteView message) const;
  SecretBytes pem() const;  // PKCS#8 without a password

 private:
  explicit EcdsaPrivateKey(std::unique_ptr<EvpKey, FreeEvpKey> key) : key_(std::move(key)) {}
  std::unique_ptr<EvpKey, FreeEvpKey> key_;
};

}  // namespace bundle
