// X.509 certificates of a site: its own authority, and what that vouches for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace bundle {

enum class CertificateUse : std::uint8_t { authority, server, client };

struct CertificateRequest {
  CertificateUse use = CertificateUse::server;
  std::string common_name;         // at most 64 bytes
  std::vector<std::string> names;  // of a server: DNS names and IP addresses
  UnixTime not_before = 0;
  UnixTime not_after = 0;
};

struct KeyAndCertificate {
  std::string key_pem;  // PKCS#8, not encrypted
  std::string certificate_pem;
};

// A new ECDSA P-256 key and its certificate, signed by `authority` or, when that is nullptr, by
// itself. An authority vouches for servers and clients, not for further authorities.
// Source: RFC 5280, sections 4.1 and 4.2. Throws Error{usage} for a name that is none,
// Error{key_invalid} when the authority's files are not usable.
KeyAndCertificate make_certificate(const CertificateRequest& request,
                                   const KeyAndCertificate* authority);

struct CertificateFacts {
  std::string common_name;
  std::vector<std::string> names;
  UnixTime not_after = 0;
  bool authority = false;
  std::string fingerprint;  // SHA-256 of the certificate, as "openssl x509 -fingerprint" shows it
};
// Of the first certificate. `where` names it in messages. Throws Error{key_invalid}.
CertificateFacts read_certificate(std::string_view pem, const std::string& where);

}  // namespace bundle
