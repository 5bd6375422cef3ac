// What a site needs once besides a store: certificates for its registry, and the files that tell
// k3s and Flux about it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bundle {

struct CertificateOptions {
  // Gets ca.pem, ca.key, server.pem, server.key; made when it is not there. An authority that is
  // there is used again, so that a second call renews the server's certificate and key.
  std::filesystem::path folder;
  // DNS names and IP addresses by which nodes reach the registry. None: those of the server.pem
  // that is there.
  std::vector<std::string> names;
  // In place of a server's: a client certificate of this name, NAME.pem and NAME.key.
  std::string client;
  unsigned days = 825;  // the authority: kAuthorityDays
};
inline constexpr unsigned kAuthorityDays = 3650;

struct CertificateReport {
  std::filesystem::path authority;  // ca.pem: what clients trust
  std::filesystem::path certificate;
  std::filesystem::path key;  // mode 0600
  std::vector<std::string> names;
  std::string expires;      // of the certificate, RFC 3339
  std::string fingerprint;  // SHA-256 of the authority's certificate
  bool new_authority = false;
};
// ECDSA P-256, valid from a day before now (clocks of sites differ).
// Throws Error{usage|key_invalid|no_space|read_only|io_error}.
CertificateReport generate_certificates(const CertificateOptions& options);

struct ClusterConfigOptions {
  std::string endpoint;           // "https://registry.example.com:5000" or http://
  std::filesystem::path folder;   // gets the files; made when it is not there
  std::filesystem::path ca_file;  // empty: a CA that nodes trust already, or no TLS
  // Where nodes will keep the CA's certificate.
  std::string node_ca_path = "/etc/rancher/k3s/bundle-registry-ca.crt";
  std::string user;                     // empty: anonymous
  std::filesystem::path password_file;  // its first line
  std::filesystem::path
      store;  // empty or a store: its releases' registries are listed by name, too
  std::string flux_namespace = "flux-system";
};
struct ClusterConfigReport {
  std::vector<std::filesystem::path> files;
  std::vector<std::string> registries;  // mirrored; "*" first
};
// registries.yaml, config.yaml.d/50-bundle-registry.yaml, flux-secrets.yaml (when there is a CA or
// a user), bundle-registry-ca.crt (when there is a CA). Files with a password have mode 0600.
// Source: docs.k3s.io "Private Registry Configuration"; Flux OCIRepository v1 spec.
// Throws Error{usage|key_invalid|not_found|no_space|read_only|io_error}.
ClusterConfigReport write_cluster_config(const ClusterConfigOptions& options);

}  // namespace bundle
