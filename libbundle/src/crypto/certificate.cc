#include "crypto/certificate.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>

#include "bundle/error.h"

namespace bundle {
namespace {

template <auto free_function>
struct Free {
  template <typename Thing>
  void operator()(Thing* thing) const {
    free_function(thing);
  }
};
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Free<X509_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, Free<BN_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

constexpr std::size_t kMaxCommonName = 64;  // RFC 5280, ub-common-name
constexpr std::size_t kMaxDnsName = 253;
constexpr int kSerialBits = 127;  // positive in 16 octets

void require(bool good, std::string_view what) {
  if (!good) throw Error(ErrorCode::internal, fmt::format("OpenSSL cannot {}", what));
}

bool is_address(const std::string& name) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

// What may stand in OpenSSL's own little language for names, too.
bool is_dns_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxDnsName && name.front() != '.' &&
         name.front() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '.' || c == '-';
         });
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    const bool address = is_address(name);
    if (!address && !is_dns_name(name)) {
      throw Error(ErrorCode::usage, fmt::format("\"{}\" is no DNS name and no IP address", name),
                  "Give each name by which nodes reach the registry, without scheme and port.");
    }
    out += fmt::format("{}{}:{}", out.empty() ? "" : ",", address ? "IP" : "DNS", name);
  }
  return out;
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  require(extension && X509_add_ext(certificate, extension.get(), -1) == 1, "add an extension");
}

void add_extensions(X509* certificate, X509* issuer, const CertificateRequest& request) {
  add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
  if (request.use == CertificateUse::authority) {
    add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    return;
  }
  add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
  add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature");
  add_extension(certificate, issuer, NID_ext_key_usage,
                request.use == CertificateUse::server ? "serverAuth" : "clientAuth");
  if (!request.names.empty()) {
    add_extension(certificate, issuer, NID_subject_alt_name, alternative_names(request.names));
  }
}

void set_subject(X509* certificate, const std::string& common_name) {
  if (common_name.empty() || common_name.size() > kMaxCommonName) {
    throw Error(ErrorCode::usage, fmt::format("\"{}\" cannot be a certificate's name", common_name),
                "A certificate's name has 1 to 64 characters.");
  }
  X509_NAME* subject = X509_get_subject_name(certificate);
  require(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(common_name.data()),
                                     static_cast<int>(common_name.size()), -1, 0) == 1,
          "set a subject");
}

void set_serial(X509* certificate) {
  const NumberPtr number(BN_new());
  require(number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr,
          "make a serial number");
}

BioPtr reader(std::string_view text) {
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  require(bio != nullptr, "read memory");
  return bio;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

// Nobody is asked for a password: an encrypted key is not usable.
int no_password(char*, int, int, void*) {
  return -1;
}

CertificatePtr parse_certificate(std::string_view pem, const std::string& where) {
  CertificatePtr certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, &no_password, nullptr));
  if (!certificate) {
    throw Error(ErrorCode::key_invalid, where + " is no PEM certificate",
                "Name the right file, or let bundle-import gen-cert write new ones elsewhere.");
  }
  return certificate;
}

struct Authority {
  CertificatePtr certificate;
  KeyPtr key;
};

Authority open_authority(const KeyAndCertificate& files) {
  Authority authority;
  authority.certificate = parse_certificate(files.certificate_pem, "the authority's certificate");
  authority.key.reset(
      PEM_read_bio_PrivateKey(reader(files.key_pem).get(), nullptr, &no_password, nullptr));
  if (!authority.key ||
      X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1 ||
      X509_check_ca(authority.certificate.get()) == 0) {
    throw Error(ErrorCode::key_invalid, "the authority's key does not fit its certificate",
                "Put back both files of the authority, or make a new one in another folder.");
  }
  return authority;
}

UnixTime to_unix(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return ::timegm(&parts);
}

}  // namespace

KeyAndCertificate make_certificate(const CertificateRequest& request,
                                   const KeyAndCertificate* authority) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  require(key != nullptr, "make a key");
  const CertificatePtr certificate(X509_new());
  require(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1,
          "make a certificate");
  set_serial(certificate.get());
  set_subject(certificate.get(), request.common_name);
  require(ASN1_TIME_set(X509_getm_notBefore(certificate.get()), request.not_before) != nullptr &&
              ASN1_TIME_set(X509_getm_notAfter(certificate.get()), request.not_after) != nullptr &&
              X509_set_pubkey(certificate.get(), key.get()) == 1,
          "fill a certificate");
  Authority opened;
  if (authority != nullptr) opened = open_authority(*authority);
  X509* issuer = authority != nullptr ? opened.certificate.get() : certificate.get();
  EVP_PKEY* signer = authority != nullptr ? opened.key.get() : key.get();
  require(X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer)) == 1,
          "set an issuer");
  add_extensions(certificate.get(), issuer, request);
  require(X509_sign(certificate.get(), signer, EVP_sha256()) > 0, "sign a certificate");

  const BioPtr key_text(BIO_new(BIO_s_secmem()));
  const BioPtr certificate_text(BIO_new(BIO_s_mem()));
  require(key_text && certificate_text &&
              PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                            nullptr) == 1 &&
              PEM_write_bio_X509(certificate_text.get(), certificate.get()) == 1,
          "write a certificate");
  return {text_of(key_text.get()), text_of(certificate_text.get())};
}

CertificateFacts read_certificate(std::string_view pem, const std::string& where) {
  const CertificatePtr certificate = parse_certificate(pem, where);
  CertificateFacts facts;
  std::array<char, kMaxCommonName + 1> name{};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name.data(),
                            static_cast<int>(name.size()));
  facts.common_name = name.data();
  facts.not_after = to_unix(X509_get0_notAfter(certificate.get()));
  facts.authority = X509_check_ca(certificate.get()) != 0;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  require(X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) == 1, "hash");
  for (unsigned i = 0; i < size; ++i) {
    facts.fingerprint += fmt::format("{}{:02X}", i == 0 ? "" : ":", digest[i]);
  }
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* one = sk_GENERAL_NAME_value(names.get(), i);
    const ASN1_STRING* value = one->type == GEN_DNS ? one->d.dNSName : one->d.iPAddress;
    if (one->type != GEN_DNS && one->type != GEN_IPADD) continue;
    const unsigned char* data = ASN1_STRING_get0_data(value);
    const int length = ASN1_STRING_length(value);
    if (one->type == GEN_DNS) {
      facts.names.emplace_back(reinterpret_cast<const char*>(data), length);
      continue;
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (::inet_ntop(length == 4 ? AF_INET : AF_INET6, data, text.data(), text.size()) != nullptr) {
      facts.names.emplace_back(text.data());
    }
  }
  return facts;
}

}  // namespace bundle
