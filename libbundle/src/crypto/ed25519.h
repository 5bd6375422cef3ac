// Ed25519 signatures (RFC 8032, pure, no prehash), by libsodium.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "crypto/secret_bytes.h"

namespace bundle {

using Ed25519PublicKey = std::array<std::uint8_t, 32>;
using Ed25519Signature = std::array<std::uint8_t, 64>;

// True when `signature` is `key`'s signature of `message`. Small-order keys and non-canonical
// signatures are refused, so no second encoding of a valid signature passes. Thread-safe.
bool verify_ed25519(const Ed25519PublicKey& key, ByteView message,
                    const Ed25519Signature& signature);

// A secret key, in locked memory. Move-only. Signing is deterministic and thread-safe.
class Ed25519SecretKey {
 public:
  static constexpr std::size_t kSeedSize = 32;
  static constexpr std::size_t kSize =
      64;  // seed, then public key: libsodium's and minisign's form

  static Ed25519SecretKey generate();
  static Ed25519SecretKey from_seed(ByteView seed);  // exactly kSeedSize bytes
  // Exactly kSize bytes whose public half belongs to the seed; throws Error{key_invalid}.
  static Ed25519SecretKey from_bytes(ByteView bytes);

  const Ed25519PublicKey& public_key() const { return public_key_; }
  ByteView bytes() const { return bytes_.view(); }
  Ed25519Signature sign(ByteView message) const;

 private:
  Ed25519SecretKey() : bytes_(kSize) {}

  SecretBytes bytes_;
  Ed25519PublicKey public_key_{};
};

}  // namespace bundle
