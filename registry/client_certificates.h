// Mutual TLS: only clients with a certificate of the site's own authority get a connection.
#pragma once

#include <gnutls/gnutls.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "io/file_system.h"

namespace bundle::registry {

// Thread-safe.
class ClientCertificates {
 public:
  // `authorities`: PEM certificates of the authorities that may vouch for clients.
  // Throws Error{key_invalid|not_found|limit}.
  ClientCertificates(FileSystem& fs, Path authorities);
  ~ClientCertificates();
  ClientCertificates(const ClientCertificates&) = delete;
  ClientCertificates& operator=(const ClientCertificates&) = delete;

  // Reads the file again, for new connections. Throws like the constructor; the old stays then.
  void reload();
  // In a handshake: the common name of the peer's certificate when it is good for a TLS client now;
  // nothing when the peer showed none or a wrong one. A name that is no user name (access_policy.h)
  // counts as none and is empty.
  std::optional<std::string> verify(gnutls_session_t session) const;

 private:
  struct Loaded;
  std::shared_ptr<const Loaded> load() const;

  FileSystem& fs_;
  Path file_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Loaded> current_;
};

}  // namespace bundle::registry
