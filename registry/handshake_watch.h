// TLS handshakes that wait for their client.
#pragma once

#include <gnutls/gnutls.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "io/unique_fd.h"

struct MHD_Connection;

namespace bundle::registry {

class HandshakeWatch;

// The handshake of one connection. Its worker's, but for `waiting_`.
class Handshake {
 public:
  // From now on `session` reads from `socket` through this object, which must outlive it.
  Handshake(HandshakeWatch& watch, MHD_Connection* connection, gnutls_session_t session,
            int socket);
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

 private:
  friend class HandshakeWatch;
  friend struct HandshakeCallbacks;

  HandshakeWatch& watch_;
  MHD_Connection* connection_;
  gnutls_session_t session_;
  int socket_;
  bool came_ = false;  // the Finished message of the client
  bool went_ = false;  // ours
};

// While a handshake waits for bytes libmicrohttpd asks for them in a loop, with all of a processor:
// a few clients that say nothing would take the machine. So the connection is suspended, and
// resumed by a thread of this object when there is something to read. Thread-safe.
class HandshakeWatch {
 public:
  // Throws Error{internal} when the system gives no epoll set.
  HandshakeWatch();
  // After the daemon: sessions still read through it.
  ~HandshakeWatch();
  HandshakeWatch(const HandshakeWatch&) = delete;
  HandshakeWatch& operator=(const HandshakeWatch&) = delete;

  // Resumes all, and suspends none from now on: before the daemon is stopped.
  void stop();

 private:
  friend struct HandshakeCallbacks;

  void wait_for(Handshake& handshake);
  void run();

  UniqueFd epoll_;
  UniqueFd wake_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::unordered_set<Handshake*> waiting_;
  std::thread thread_;
};

}  // namespace bundle::registry
