#include "registry/connection_renewal.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bundle/error.h"

namespace bundle::registry {

ConnectionRenewal::ConnectionRenewal()
    : nowhere_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  if (!nowhere_) {
    throw Error(ErrorCode::internal, "the system gives no socket",
                "Check the limit of this user for open files.");
  }
}

void ConnectionRenewal::renew(MHD_Daemon* daemon, int socket) const {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  auto* address = reinterpret_cast<sockaddr*>(&peer);
  if (::getpeername(socket, address, &size) != 0) return;
  const int client = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
  if (client < 0) return;
  // The number stays the library's, so that nobody else gets it before the library closes it.
  if (::dup3(nowhere_.get(), socket, O_CLOEXEC) < 0) {
    ::close(client);
    return;
  }
  // The library owns it now, also when it refuses.
  MHD_add_connection(daemon, client, address, size);
}

}  // namespace bundle::registry
