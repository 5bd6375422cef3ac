#include "registry/client_certificates.h"

#include <fmt/format.h>
#include <gnutls/x509.h>

#include <array>
#include <utility>

#include "bundle/error.h"
#include "registry/access_policy.h"
#include "registry/request_limits.h"

namespace bundle::registry {
namespace {

// An authority, one or two below it, the client: longer ones are nobody's.
constexpr unsigned kMaxChain = 8;

class Chain {
 public:
  // Stays empty when the peer's certificates cannot be read.
  explicit Chain(gnutls_session_t session) {
    unsigned count = 0;
    const gnutls_datum_t* raw = gnutls_certificate_get_peers(session, &count);
    if (raw == nullptr || count > kMaxChain) return;
    for (; size_ < count; ++size_) {
      if (gnutls_x509_crt_init(&certificates_[size_]) < 0) break;
      if (gnutls_x509_crt_import(certificates_[size_], &raw[size_], GNUTLS_X509_FMT_DER) < 0) {
        ++size_;
        broken_ = true;
        return;
      }
    }
    broken_ = size_ != count;
  }
  ~Chain() {
    for (unsigned i = 0; i < size_; ++i) gnutls_x509_crt_deinit(certificates_[i]);
  }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

  bool usable() const { return size_ > 0 && !broken_; }
  gnutls_x509_crt_t* data() { return certificates_.data(); }
  unsigned size() const { return size_; }

 private:
  std::array<gnutls_x509_crt_t, kMaxChain> certificates_{};
  unsigned size_ = 0;
  bool broken_ = false;
};

}  // namespace

struct ClientCertificates::Loaded {
  gnutls_x509_trust_list_t list = nullptr;

  Loaded() = default;
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;
  ~Loaded() {
    if (list != nullptr) gnutls_x509_trust_list_deinit(list, 1);
  }
};

ClientCertificates::ClientCertificates(FileSystem& fs, Path authorities)
    : fs_(fs), file_(std::move(authorities)), current_(load()) {}

ClientCertificates::~ClientCertificates() = default;

std::shared_ptr<const ClientCertificates::Loaded> ClientCertificates::load() const {
  Bytes pem = read_file(fs_, file_, kMaxPemBytes);
  const gnutls_datum_t data{pem.data(), static_cast<unsigned>(pem.size())};
  auto loaded = std::make_shared<Loaded>();
  int count = gnutls_x509_trust_list_init(&loaded->list, 0);
  if (count >= 0) {
    count = gnutls_x509_trust_list_add_trust_mem(loaded->list, &data, nullptr, GNUTLS_X509_FMT_PEM,
                                                 0, 0);
  }
  if (count <= 0) {
    throw Error(ErrorCode::key_invalid,
                fmt::format("{} holds no certificate of an authority", file_.string()),
                "Give --tls-client-ca a PEM file with the authority's certificate; bundle-import "
                "gen-cert makes one.");
  }
  return loaded;
}

void ClientCertificates::reload() {
  auto fresh = load();
  const std::lock_guard lock(mutex_);
  current_ = std::move(fresh);
}

std::optional<std::string> ClientCertificates::verify(gnutls_session_t session) const {
  std::shared_ptr<const Loaded> trusted;
  {
    const std::lock_guard lock(mutex_);
    trusted = current_;
  }
  Chain chain(session);
  if (!chain.usable()) return std::nullopt;
  std::string purpose = GNUTLS_KP_TLS_WWW_CLIENT;
  gnutls_typed_vdata_st wanted{};
  wanted.type = GNUTLS_DT_KEY_PURPOSE_OID;
  wanted.data = reinterpret_cast<unsigned char*>(purpose.data());
  unsigned problems = 0;
  if (gnutls_x509_trust_list_verify_crt2(trusted->list, chain.data(), chain.size(), &wanted, 1, 0,
                                         &problems, nullptr) < 0 ||
      problems != 0) {
    return std::nullopt;
  }
  std::array<char, kMaxUserName + 1> name{};
  std::size_t size = name.size();
  if (gnutls_x509_crt_get_dn_by_oid(chain.data()[0], GNUTLS_OID_X520_COMMON_NAME, 0, 0, name.data(),
                                    &size) < 0) {
    return std::string();
  }
  std::string text(name.data(), size);
  return is_user_name(text) ? text : std::string();
}

}  // namespace bundle::registry
