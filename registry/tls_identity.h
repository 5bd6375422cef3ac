// Certificate and key of the server, replaceable while it runs.
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "io/file_system.h"

namespace bundle::registry {

// TLS 1.2 and 1.3 only, with the library's default ciphers for them.
inline constexpr const char* kTlsPriorities =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";

// Thread-safe.
class TlsIdentity {
 public:
  // PEM files: the certificate chain (server certificate first) and its key, not encrypted.
  // Throws Error{key_invalid} when they cannot be read as such or do not belong together.
  TlsIdentity(FileSystem& fs, Path certificate, Path key);
  ~TlsIdentity();
  TlsIdentity(const TlsIdentity&) = delete;
  TlsIdentity& operator=(const TlsIdentity&) = delete;

  // Reads the files again: new connections get the new certificate. Throws like the constructor;
  // the old certificate stays in use then.
  void reload();

  // For GnuTLS's retrieve callback. Valid for ten minutes after a reload at least, which is more
  // than any handshake may take.
  struct Credentials {
    gnutls_pcert_st* chain = nullptr;
    unsigned int chain_length = 0;
    gnutls_privkey_t key = nullptr;
  };
  Credentials current() const;

 private:
  struct Loaded;
  std::shared_ptr<Loaded> load() const;

  FileSystem& fs_;
  Path certificate_;
  Path key_;
  mutable std::mutex mutex_;
  std::shared_ptr<Loaded> current_;
  std::vector<std::pair<std::chrono::steady_clock::time_point, std::shared_ptr<Loaded>>> retired_;
};

}  // namespace bundle::registry
