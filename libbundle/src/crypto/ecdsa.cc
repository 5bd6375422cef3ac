#include "crypto/ecdsa.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"

namespace bundle {
namespace {

constexpr std::string_view kCurve = "prime256v1";  // OpenSSL's name of P-256

EVP_PKEY* raw(EvpKey* key) {
  return reinterpret_cast<EVP_PKEY*>(key);
}
EvpKey* wrap(EVP_PKEY* key) {
  return reinterpret_cast<EvpKey*>(key);
}

struct FreeOpenSsl {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using BioPtr = std::unique_ptr<BIO, FreeOpenSsl>;
using ContextPtr = std::unique_ptr<EVP_MD_CTX, FreeOpenSsl>;

[[noreturn]] void refuse(std::string_view what, std::string_view problem) {
  ERR_clear_error();
  throw Error(
      ErrorCode::key_invalid, fmt::format("{}: {}", what, problem),
      "cosign and Flux want an ECDSA P-256 key: make one with 'cosign generate-key-pair', or "
      "with 'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256'.");
}

[[noreturn]] void fail(std::string_view doing) {
  ERR_clear_error();
  throw Error(ErrorCode::internal, fmt::format("OpenSSL could not {}", doing));
}

BioPtr memory_bio(ByteView bytes) {
  BioPtr bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  if (!bio) fail("use memory");
  return bio;
}

// The secure-memory kind: what was written to it is overwritten when it is freed.
BioPtr output_bio(bool secret) {
  BioPtr bio(BIO_new(secret ? BIO_s_secmem() : BIO_s_mem()));
  if (!bio) fail("use memory");
  return bio;
}

ByteView content(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {reinterpret_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size)};
}

void require_p256(EVP_PKEY* key, std::string_view what) {
  std::array<char, 64> curve{};
  std::size_t size = 0;
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key, curve.data(), curve.size(), &size) != 1 ||
      std::string_view(curve.data(), size) != kCurve) {
    refuse(what, "not an ECDSA key on the curve P-256");
  }
}

struct Password {
  ByteView bytes;
  bool asked = false;
};

int give_password(char* buffer, int size, int /*writing*/, void* user) {
  auto& password = *static_cast<Password*>(user);
  password.asked = true;
  if (password.bytes.size() > static_cast<std::size_t>(size)) return -1;
  std::ranges::copy(password.bytes, buffer);
  return static_cast<int>(password.bytes.size());
}

}  // namespace

void FreeEvpKey::operator()(EvpKey* key) const {
  EVP_PKEY_free(raw(key));
}

EcdsaPublicKey EcdsaPublicKey::parse_pem(std::string_view pem, std::string_view what) {
  if (pem.size() > kMaxPemBytes) refuse(what, "too large for a public key");
  const BioPtr bio = memory_bio(as_bytes(pem));
  std::shared_ptr<EvpKey> key(wrap(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr)),
                              FreeEvpKey());
  if (!key) refuse(what, "not a public key in PEM form (-----BEGIN PUBLIC KEY-----)");
  require_p256(raw(key.get()), what);
  return EcdsaPublicKey(std::move(key));
}

bool EcdsaPublicKey::verifies(ByteView message, ByteView signature) const {
  const ContextPtr context(EVP_MD_CTX_new());
  const bool valid =
      context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, raw(key_.get())) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                       message.size()) == 1;
  ERR_clear_error();
  return valid;
}

Bytes EcdsaPublicKey::der() const {
  const BioPtr bio = output_bio(false);
  if (i2d_PUBKEY_bio(bio.get(), raw(key_.get())) != 1) fail("write a public key");
  const ByteView bytes = content(bio);
  return {bytes.begin(), bytes.end()};
}

std::string EcdsaPublicKey::pem() const {
  const BioPtr bio = output_bio(false);
  if (PEM_write_bio_PUBKEY(bio.get(), raw(key_.get())) != 1) fail("write a public key");
  return std::string(as_text(content(bio)));
}

EcdsaPrivateKey EcdsaPrivateKey::generate() {
  EVP_PKEY* key = EVP_EC_gen(kCurve.data());
  if (key == nullptr) fail("make a key");
  return EcdsaPrivateKey(std::unique_ptr<EvpKey, FreeEvpKey>(wrap(key)));
}

EcdsaPrivateKey EcdsaPrivateKey::parse_pem(ByteView pem, ByteView password, std::string_view what) {
  if (pem.size() > kMaxPemBytes) refuse(what, "too large for a key");
  const BioPtr bio = memory_bio(pem);
  Password given{password};
  std::unique_ptr<EvpKey, FreeEvpKey> key(
      wrap(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_password, &given)));
  if (!key && given.asked) {
    ERR_clear_error();
    throw Error(ErrorCode::password_wrong,
                fmt::format("{}: the password does not open the key", what),
                "Name the right password file, or the right key.");
  }
  if (!key) refuse(what, "not a private key in PEM form");
  require_p256(raw(key.get()), what);
  return EcdsaPrivateKey(std::move(key));
}

EcdsaPrivateKey EcdsaPrivateKey::parse_der(ByteView pkcs8, std::string_view what) {
  const std::uint8_t* at = pkcs8.data();
  std::unique_ptr<EvpKey, FreeEvpKey> key(
      wrap(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(pkcs8.size()))));
  if (!key) refuse(what, "not a private key in PKCS#8 form");
  require_p256(raw(key.get()), what);
  return EcdsaPrivateKey(std::move(key));
}

EcdsaPublicKey EcdsaPrivateKey::public_key() const {
  const BioPtr bio = output_bio(false);
  if (i2d_PUBKEY_bio(bio.get(), raw(key_.get())) != 1) fail("write a public key");
  std::shared_ptr<EvpKey> key(wrap(d2i_PUBKEY_bio(bio.get(), nullptr)), FreeEvpKey());
  if (!key) fail("read a public key");
  return EcdsaPublicKey(std::move(key));
}

Bytes EcdsaPrivateKey::sign(ByteView message) const {
  const ContextPtr context(EVP_MD_CTX_new());
  Bytes signature(kMaxEcdsaSignature);
  std::size_t size = signature.size();
  if (!context ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, raw(key_.get())) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1) {
    fail("sign");
  }
  signature.resize(size);
  return signature;
}

SecretBytes EcdsaPrivateKey::pem() const {
  const BioPtr bio = output_bio(true);
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), raw(key_.get()), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1) {
    fail("write a key");
  }
  const ByteView bytes = content(bio);
  SecretBytes out(bytes.size());
  std::ranges::copy(bytes, out.data());
  return out;
}

}  // namespace bundle
