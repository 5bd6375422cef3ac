// minisign secret key files. Layout of the 158 bytes behind the base64 line (minisign.h, struct
// SeckeyStruct; numbers little-endian):
//   0 "Ed" | 2 kdf: "Sc" scrypt, or two zero bytes | 4 "B2" | 6 salt[32] | 38 opslimit u64 |
//   46 memlimit u64 | 54 key id[8] | 62 secret key[64] | 126 checksum[32]
// The last three are XORed with the scrypt stream of the password. The checksum is BLAKE2b-256 over
// "Ed", key id and secret key; minisign leaves it zero in a key without a password, and so do we.
#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>

#include "bundle/error.h"
#include "crypto/minisign.h"
#include "crypto/minisign_lines.h"
#include "crypto/sodium_init.h"

namespace bundle {
namespace {

constexpr std::size_t kKdfAt = 2;
constexpr std::size_t kChecksumKindAt = 4;
constexpr std::size_t kSaltAt = 6;
constexpr std::size_t kOpsAt = 38;
constexpr std::size_t kMemoryAt = 46;
constexpr std::size_t kIdAt = 54;
constexpr std::size_t kKeyAt = 62;
constexpr std::size_t kChecksumAt = 126;
constexpr std::size_t kChecksumSize = 32;
constexpr std::size_t kFileSize = 158;
constexpr std::size_t kHiddenSize = kFileSize - kIdAt;

static_assert(crypto_pwhash_scryptsalsa208sha256_SALTBYTES == kOpsAt - kSaltAt);

constexpr std::string_view kAlgorithm = "Ed";
constexpr std::string_view kScrypt = "Sc";
constexpr std::string_view kNoKdf{"\0\0", 2};
constexpr std::string_view kBlake2b = "B2";

std::string_view text_at(const SecretBytes& file, std::size_t at) {
  return as_text(file.view().subspan(at, 2));
}

[[noreturn]] void refuse(std::string_view what, std::string_view problem) {
  throw Error(ErrorCode::key_invalid, fmt::format("{}: {}", what, problem),
              "A secret key is the NAME.key file that keygen or minisign -G wrote.");
}

SecretBytes decode(std::string_view text, std::string_view what) {
  const auto lines = minisign_lines(text, 2, ErrorCode::key_invalid, what);
  minisign_comment(lines[0], kUntrustedPrefix, kMaxUntrustedComment, ErrorCode::key_invalid, what);
  SecretBytes file(kFileSize);
  std::size_t size = 0;
  if (sodium_base642bin(file.data(), file.size(), lines[1].data(), lines[1].size(), nullptr, &size,
                        nullptr, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      size != kFileSize) {
    refuse(what, "not a minisign secret key");
  }
  if (text_at(file, 0) != kAlgorithm) refuse(what, "not an Ed25519 key");
  if (text_at(file, kChecksumKindAt) != kBlake2b) refuse(what, "an unknown checksum algorithm");
  const std::string_view kdf = text_at(file, kKdfAt);
  if (kdf != kScrypt && kdf != kNoKdf) refuse(what, "an unknown password algorithm");
  return file;
}

// XORs the hidden part of `file` with the password's scrypt stream, as its header says.
void apply_password(SecretBytes& file, ByteView password, std::string_view what) {
  const auto ops = load_le<std::uint64_t>(file.data() + kOpsAt);
  const auto memory = load_le<std::uint64_t>(file.data() + kMemoryAt);
  if (ops > kMaxScryptOps || memory > kMaxScryptMemory) {
    throw Error(ErrorCode::limit,
                fmt::format("{}: the key demands {} scrypt operations and {} bytes of memory; the "
                            "limits are {} and {}",
                            what, ops, memory, kMaxScryptOps, kMaxScryptMemory),
                "No tool writes such a key: the file is damaged or hostile. Use a copy.");
  }
  SecretBytes stream(kHiddenSize);
  if (crypto_pwhash_scryptsalsa208sha256(
          stream.data(), stream.size(), reinterpret_cast<const char*>(password.data()),
          password.size(), file.data() + kSaltAt, ops, static_cast<std::size_t>(memory)) != 0) {
    throw Error(
        ErrorCode::limit,
        fmt::format("{}: not enough memory to try the password ({} bytes needed)", what, memory),
        "Free memory or use a machine with more of it.");
  }
  for (std::size_t i = 0; i < kHiddenSize; ++i) file.data()[kIdAt + i] ^= stream.data()[i];
}

std::array<std::uint8_t, kChecksumSize> checksum(const SecretBytes& file) {
  std::array<std::uint8_t, kChecksumSize> sum{};
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, sum.size());
  crypto_generichash_update(&state, file.view().data(), kAlgorithm.size());
  crypto_generichash_update(&state, file.view().data() + kIdAt, kChecksumAt - kIdAt);
  crypto_generichash_final(&state, sum.data(), sum.size());
  sodium_memzero(&state, sizeof state);
  return sum;
}

// The 158 bytes of a key without a password.
SecretBytes open_layout(const MinisignPublicKey& public_key, const Ed25519SecretKey& key) {
  SecretBytes file(kFileSize);
  std::ranges::copy(as_bytes(kAlgorithm), file.data());
  std::ranges::copy(as_bytes(kBlake2b), file.data() + kChecksumKindAt);
  std::ranges::copy(public_key.id.bytes, file.data() + kIdAt);
  std::ranges::copy(key.bytes(), file.data() + kKeyAt);
  return file;
}

// Without a password the two halves of the key are what shows damage; a zero checksum is usual.
bool checksum_holds(const SecretBytes& file, bool encrypted) {
  const auto expected = checksum(file);
  return sodium_memcmp(expected.data(), file.view().data() + kChecksumAt, kChecksumSize) == 0 ||
         (!encrypted && sodium_is_zero(file.view().data() + kChecksumAt, kChecksumSize) == 1);
}

SecretBytes encode(const SecretBytes& file, std::string_view comment) {
  const std::string head = fmt::format("{}{}\n", kUntrustedPrefix, comment);
  const std::size_t base64_size =
      sodium_base64_ENCODED_LEN(kFileSize, sodium_base64_VARIANT_ORIGINAL);  // with its NUL
  SecretBytes text(head.size() + base64_size);
  std::ranges::copy(as_bytes(head), text.data());
  sodium_bin2base64(reinterpret_cast<char*>(text.data()) + head.size(), base64_size,
                    file.view().data(), kFileSize, sodium_base64_VARIANT_ORIGINAL);
  text.data()[text.size() - 1] = '\n';
  return text;
}

}  // namespace

MinisignSecretKey::MinisignSecretKey(const MinisignKeyId& id, Ed25519SecretKey key)
    : id_(id), key_(std::move(key)) {}

MinisignSecretKey MinisignSecretKey::generate() {
  Ed25519SecretKey key = Ed25519SecretKey::generate();
  MinisignKeyId id;
  randombytes_buf(id.bytes.data(), id.bytes.size());
  return {id, std::move(key)};
}

bool MinisignSecretKey::is_encrypted(std::string_view text, std::string_view what) {
  return text_at(decode(text, what), kKdfAt) == kScrypt;
}

MinisignSecretKey MinisignSecretKey::parse(std::string_view text, ByteView password,
                                           std::string_view what) {
  require_sodium();
  SecretBytes file = decode(text, what);
  const bool encrypted = text_at(file, kKdfAt) == kScrypt;
  if (encrypted) {
    if (password.empty()) {
      throw Error(ErrorCode::password_wrong, fmt::format("{}: the key needs a password", what),
                  "Give the password in a file or through an open file descriptor.");
    }
    apply_password(file, password, what);
  }
  if (!checksum_holds(file, encrypted)) {
    if (encrypted) {
      throw Error(ErrorCode::password_wrong,
                  fmt::format("{}: the password does not open this key", what),
                  "Check the password. If it is right, the key file is damaged: use a copy.");
    }
    refuse(what, "the key file is damaged (its checksum does not match)");
  }
  MinisignKeyId id;
  std::ranges::copy(file.view().subspan(kIdAt, id.bytes.size()), id.bytes.begin());
  return {id, Ed25519SecretKey::from_bytes(file.view().subspan(kKeyAt, Ed25519SecretKey::kSize))};
}

SecretBytes MinisignSecretKey::text_unencrypted() const {
  return encode(open_layout(public_key(), key_), "minisign secret key");
}

SecretBytes MinisignSecretKey::text_encrypted(ByteView password) const {
  if (password.empty()) throw Error(ErrorCode::usage, "an encrypted key needs a password");
  SecretBytes file = open_layout(public_key(), key_);
  std::ranges::copy(as_bytes(kScrypt), file.data() + kKdfAt);
  std::ranges::copy(checksum(file), file.data() + kChecksumAt);
  randombytes_buf(file.data() + kSaltAt, kOpsAt - kSaltAt);
  store_le(file.data() + kOpsAt, kScryptOps);
  store_le(file.data() + kMemoryAt, kScryptMemory);
  apply_password(file, password, "new key");
  return encode(file, "minisign encrypted secret key");
}

}  // namespace bundle
