#include "crypto/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

#include "bundle/error.h"

namespace bundle {
namespace {

constexpr std::string_view kPrefix = "sha256:";

void require(int openssl_result) {
  if (openssl_result != 1) throw Error(ErrorCode::internal, "SHA-256 is not available in OpenSSL");
}

}  // namespace

Digest Digest::parse(std::string_view text) {
  if (!is_valid(text)) {
    throw Error(ErrorCode::oci_invalid,
                fmt::format("'{}' is not a digest of the form sha256:<64 hex digits>",
                            text.substr(0, 100)));
  }
  return from_bytes(*from_hex(text.substr(kPrefix.size())));
}

bool Digest::is_valid(std::string_view text) {
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + 2 * kSize) return false;
  return from_hex(text.substr(kPrefix.size())).has_value();
}

Digest Digest::from_bytes(ByteView bytes) {
  Digest digest;
  if (bytes.size() != kSize) throw Error(ErrorCode::internal, "a digest has 32 bytes");
  std::ranges::copy(bytes, digest.value_.begin());
  return digest;
}

std::string Digest::text() const {
  return std::string(kPrefix) + hex();
}
std::string Digest::hex() const {
  return to_hex(value_);
}

struct Sha256::State {
  struct Free {
    void operator()(EVP_MD_CTX* owned) const { EVP_MD_CTX_free(owned); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  require(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::write(ByteView bytes) {
  require(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()));
}

Digest Sha256::finish() {
  std::array<std::uint8_t, Digest::kSize> value{};
  require(EVP_DigestFinal_ex(state_->context.get(), value.data(), nullptr));
  return Digest(value);
}

Digest sha256(ByteView bytes) {
  Sha256 hash;
  hash.write(bytes);
  return hash.finish();
}

}  // namespace bundle
