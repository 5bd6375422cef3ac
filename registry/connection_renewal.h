// Keeps a client's connection after an answer that went past the HTTP library.
#pragma once

#include "io/unique_fd.h"

struct MHD_Daemon;

namespace bundle::registry {

// libmicrohttpd has no way to be told that an answer was sent by somebody else: it can only end
// that connection. So the socket is taken away from the connection that ends, and given to the
// library again as a new one. Thread-safe.
class ConnectionRenewal {
 public:
  // Throws Error{internal} when the system gives no socket.
  ConnectionRenewal();

  // `socket` is that of a suspended connection of `daemon`, which afterwards holds a socket that
  // leads nowhere: resume it and let it end. The library reads the client's next request on the new
  // connection; when that cannot be made, the client sees the end of the stream.
  void renew(MHD_Daemon* daemon, int socket) const;

 private:
  UniqueFd nowhere_;
};

}  // namespace bundle::registry
