#include "registry/tls_identity.h"

#include <fmt/format.h>
#include <gnutls/x509.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"
#include "registry/request_limits.h"

namespace bundle::registry {
namespace {

constexpr std::chrono::minutes kRetiredFor{10};
constexpr unsigned kMaxChain = 16;

gnutls_datum_t datum(Bytes& bytes) {
  return {bytes.data(), static_cast<unsigned int>(bytes.size())};
}

[[noreturn]] void fail(const Path& file, std::string_view what, int error) {
  throw Error(ErrorCode::key_invalid,
              fmt::format("{} {}: {}", file.string(), what, gnutls_strerror(error)),
              "Give --tls-cert a PEM file with the server's certificate first and --tls-key its "
              "key, not encrypted. bundle-import gen-cert makes both.");
}

}  // namespace

struct TlsIdentity::Loaded {
  std::array<gnutls_pcert_st, kMaxChain> chain{};
  unsigned int chain_length = 0;
  gnutls_privkey_t key = nullptr;

  Loaded() = default;
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;
  ~Loaded() {
    for (unsigned int i = 0; i < chain_length; ++i) gnutls_pcert_deinit(&chain[i]);
    if (key != nullptr) gnutls_privkey_deinit(key);
  }
};

TlsIdentity::TlsIdentity(FileSystem& fs, Path certificate, Path key)
    : fs_(fs), certificate_(std::move(certificate)), key_(std::move(key)), current_(load()) {}

TlsIdentity::~TlsIdentity() = default;

std::shared_ptr<TlsIdentity::Loaded> TlsIdentity::load() const {
  Bytes certificate_pem = read_file(fs_, certificate_, kMaxPemBytes);
  Bytes key_pem = read_file(fs_, key_, kMaxPemBytes);
  const gnutls_datum_t certificate = datum(certificate_pem);
  const gnutls_datum_t key = datum(key_pem);

  // GnuTLS itself compares key and certificate here.
  gnutls_certificate_credentials_t probe = nullptr;
  if (const int error = gnutls_certificate_allocate_credentials(&probe); error < 0) {
    fail(certificate_, "cannot be loaded", error);
  }
  const int matched =
      gnutls_certificate_set_x509_key_mem(probe, &certificate, &key, GNUTLS_X509_FMT_PEM);
  gnutls_certificate_free_credentials(probe);
  if (matched < 0) fail(certificate_, "and its key cannot be used", matched);

  auto loaded = std::make_shared<Loaded>();
  unsigned int count = kMaxChain;
  if (const int error = gnutls_pcert_list_import_x509_raw(loaded->chain.data(), &count,
                                                          &certificate, GNUTLS_X509_FMT_PEM, 0);
      error < 0) {
    fail(certificate_, "is no certificate chain", error);
  }
  loaded->chain_length = count;
  if (const int error = gnutls_privkey_init(&loaded->key); error < 0) {
    fail(key_, "cannot be loaded", error);
  }
  if (const int error =
          gnutls_privkey_import_x509_raw(loaded->key, &key, GNUTLS_X509_FMT_PEM, nullptr, 0);
      error < 0) {
    fail(key_, "is no private key", error);
  }
  return loaded;
}

void TlsIdentity::reload() {
  auto fresh = load();
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  std::erase_if(retired_, [&](const auto& old) { return now - old.first > kRetiredFor; });
  retired_.emplace_back(now, std::exchange(current_, std::move(fresh)));
}

TlsIdentity::Credentials TlsIdentity::current() const {
  const std::lock_guard lock(mutex_);
  return {current_->chain.data(), current_->chain_length, current_->key};
}

}  // namespace bundle::registry
