#include "crypto/secretbox.h"

#include <fmt/format.h>
#include <sodium.h>

#include <bit>

#include "bundle/error.h"
#include "crypto/sodium_init.h"

namespace bundle {

static_assert(kSecretboxKeySize == crypto_secretbox_KEYBYTES);
static_assert(kSecretboxNonceSize == crypto_secretbox_NONCEBYTES);

SecretBytes scrypt(ByteView password, ByteView salt, const ScryptParams& params, std::size_t size,
                   std::string_view what) {
  const bool sane = std::has_single_bit(params.n) && params.n > 1 && params.r > 0 && params.p > 0 &&
                    params.p <= kMaxScryptParallel && params.r <= kMaxPasswordMemory / 128 &&
                    params.n <= kMaxPasswordMemory / 128 / params.r;
  if (!sane) {
    throw Error(
        ErrorCode::limit,
        fmt::format("{}: the key demands scrypt with N={}, r={}, p={}; at most {} bytes of "
                    "memory and p={} are allowed",
                    what, params.n, params.r, params.p, kMaxPasswordMemory, kMaxScryptParallel),
        "No tool writes such a key: the file is damaged or hostile. Use a copy.");
  }
  require_sodium();
  SecretBytes out(size);
  // libsodium declares its arguments never null, and an empty view may be.
  static constexpr std::uint8_t kNothing = 0;
  const auto start = [](ByteView bytes) { return bytes.empty() ? &kNothing : bytes.data(); };
  if (crypto_pwhash_scryptsalsa208sha256_ll(start(password), password.size(), start(salt),
                                            salt.size(), params.n, params.r, params.p, out.data(),
                                            out.size()) != 0) {
    throw Error(ErrorCode::limit,
                fmt::format("{}: not enough memory to try the password ({} bytes needed)", what,
                            128 * params.n * params.r),
                "Free memory or use a machine with more of it.");
  }
  return out;
}

std::optional<SecretBytes> open_secretbox(ByteView box, ByteView nonce, ByteView key) {
  if (box.size() <= crypto_secretbox_MACBYTES || nonce.size() != kSecretboxNonceSize ||
      key.size() != kSecretboxKeySize) {
    return std::nullopt;
  }
  require_sodium();
  SecretBytes secret(box.size() - crypto_secretbox_MACBYTES);
  if (crypto_secretbox_open_easy(secret.data(), box.data(), box.size(), nonce.data(), key.data()) !=
      0) {
    return std::nullopt;
  }
  return secret;
}

}  // namespace bundle
