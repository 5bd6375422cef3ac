#include "crypto/ed25519.h"

#include <sodium.h>

#include <algorithm>

#include "bundle/error.h"
#include "crypto/sodium_init.h"

namespace bundle {

static_assert(crypto_sign_PUBLICKEYBYTES == std::tuple_size_v<Ed25519PublicKey>);
static_assert(crypto_sign_BYTES == std::tuple_size_v<Ed25519Signature>);
static_assert(crypto_sign_SECRETKEYBYTES == Ed25519SecretKey::kSize);
static_assert(crypto_sign_SEEDBYTES == Ed25519SecretKey::kSeedSize);

bool verify_ed25519(const Ed25519PublicKey& key, ByteView message,
                    const Ed25519Signature& signature) {
  require_sodium();
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     key.data()) == 0;
}

Ed25519SecretKey Ed25519SecretKey::generate() {
  Ed25519SecretKey key;
  if (crypto_sign_keypair(key.public_key_.data(), key.bytes_.data()) != 0) {
    throw Error(ErrorCode::internal, "libsodium cannot make an Ed25519 key");
  }
  return key;
}

Ed25519SecretKey Ed25519SecretKey::from_seed(ByteView seed) {
  if (seed.size() != kSeedSize) throw Error(ErrorCode::internal, "an Ed25519 seed has 32 bytes");
  Ed25519SecretKey key;
  if (crypto_sign_seed_keypair(key.public_key_.data(), key.bytes_.data(), seed.data()) != 0) {
    throw Error(ErrorCode::internal, "libsodium cannot make an Ed25519 key");
  }
  return key;
}

Ed25519SecretKey Ed25519SecretKey::from_bytes(ByteView bytes) {
  if (bytes.size() != kSize) {
    throw Error(ErrorCode::key_invalid, "an Ed25519 secret key has 64 bytes");
  }
  // Signing with a public half that is not the seed's gives the seed away to who sees two
  // signatures, so the public half is recomputed and compared.
  Ed25519SecretKey key = from_seed(bytes.first(kSeedSize));
  if (sodium_memcmp(key.bytes_.data(), bytes.data(), kSize) != 0) {
    throw Error(ErrorCode::key_invalid,
                "the two halves of an Ed25519 secret key do not belong "
                "together");
  }
  return key;
}

Ed25519Signature Ed25519SecretKey::sign(ByteView message) const {
  Ed25519Signature signature{};
  if (crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                           bytes_.view().data()) != 0) {
    throw Error(ErrorCode::internal, "libsodium cannot sign");
  }
  return signature;
}

}  // namespace bundle
