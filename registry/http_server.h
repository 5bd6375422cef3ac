// The HTTP front of a site store: GNU libmicrohttpd, epoll, a pool of workers, sendfile.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "registry/blob_files.h"
#include "registry/client_certificates.h"
#include "registry/connection_renewal.h"
#include "registry/connection_table.h"
#include "registry/file_sender.h"
#include "registry/gatekeeper.h"
#include "registry/handshake_watch.h"
#include "registry/listen_socket.h"
#include "registry/live_catalog.h"
#include "registry/metrics.h"
#include "registry/push_api.h"
#include "registry/pushed_repositories.h"
#include "registry/scrubber.h"
#include "registry/server_log.h"
#include "registry/site_state.h"
#include "registry/tls_identity.h"
#include "store/site_store.h"

struct MHD_Daemon;

namespace bundle::registry {

struct TlsFiles {
  Path certificate;
  Path key;
  std::optional<Path> client_authorities;  // then only clients with a certificate are served
};

struct ServerOptions {
  std::string listen = "127.0.0.1:5000";  // or "systemd": see listen_socket.h
  std::optional<TlsFiles> tls;
  std::optional<Path> access_file;  // nothing: everybody may pull
  unsigned workers = 0;  // 0: two a core, because a worker waits while a cold file is read
  unsigned max_connections = 4096;
  unsigned max_connections_per_peer = 512;
  ClientPatience patience;
  // In which time every blob file is read again; 0: never.
  std::chrono::milliseconds scrub_period{std::chrono::hours(7 * 24)};
  std::optional<PushLimits> push;                 // nothing: read-only
  std::chrono::milliseconds store_interval{200};  // how often the store is looked at for a change
};

// Serves from construction to destruction. Thread-safe.
class HttpServer {
 public:
  // Throws what opening the address, the certificate and the store throws.
  HttpServer(const ServerOptions& options, std::shared_ptr<store::SiteStore> store,
             const ServerLog& log);
  // Cuts what is still being answered.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const { return port_; }
  const std::string& address() const { return address_; }
  const LiveCatalog& catalog() const { return live_; }

  // Reads certificates and access file again. Throws what the constructor throws for them; what
  // could not be read stays as it was.
  void reload();
  // Takes no new connection, lets running answers end. False when `limit` passed first.
  bool drain(std::chrono::milliseconds limit);

 private:
  friend struct HttpCallbacks;

  void start(const ServerOptions& options, ListenSocket listener);

  const ServerLog& log_;
  Metrics metrics_;
  LiveCatalog live_;
  PushedRepositories pushed_;
  BlobFiles files_;
  SiteState site_;
  Scrubber scrubber_;
  Gatekeeper gatekeeper_;
  std::unique_ptr<TlsIdentity> tls_;
  std::unique_ptr<ClientCertificates> client_certificates_;
  std::unique_ptr<HandshakeWatch> handshakes_;  // with TLS
  ConnectionTable connections_;
  std::atomic<bool> draining_{false};
  std::mutex pools_mutex_;
  std::unique_ptr<ThreadPool> hasher_;  // hashes changed blob files; requests wait suspended
  std::unique_ptr<ThreadPool> password_checker_;  // one thread: guessing is not to take the machine
  std::atomic<int> waiting_passwords_{0};
  std::unique_ptr<PushApi> push_;
  std::unique_ptr<ThreadPool> pusher_;  // syncs and renames while the requests sleep
  std::unique_ptr<FileSender> sender_;  // of large files without TLS
  std::unique_ptr<ConnectionRenewal> renewal_;
  MHD_Daemon* daemon_ = nullptr;
  std::string address_;
  std::uint16_t port_ = 0;
};

}  // namespace bundle::registry
