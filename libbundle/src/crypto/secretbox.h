// A secret under a password, as cosign keeps its keys: scrypt (RFC 7914) and NaCl's secretbox
// (XSalsa20-Poly1305), by libsodium.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "crypto/secret_bytes.h"

namespace bundle {

inline constexpr std::size_t kSecretboxKeySize = 32;
inline constexpr std::size_t kSecretboxNonceSize = 24;

struct ScryptParams {
  std::uint64_t n = 0;  // a power of two
  std::uint32_t r = 0;
  std::uint32_t p = 0;
};
// 128 * n * r bytes are needed; cosign's own keys take 64 MiB. p multiplies time.
inline constexpr std::uint64_t kMaxPasswordMemory = 1024ull * 1024 * 1024;
inline constexpr std::uint32_t kMaxScryptParallel = 16;

// `size` bytes from a password. Throws Error{limit} naming `what` when the parameters ask for more
// than the limits above or are no scrypt parameters.
SecretBytes scrypt(ByteView password, ByteView salt, const ScryptParams& params, std::size_t size,
                   std::string_view what);

// The secret in the box; nothing when the key is wrong or the box is damaged.
std::optional<SecretBytes> open_secretbox(ByteView box, ByteView nonce, ByteView key);

}  // namespace bundle
