#include "registry/listen_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "bundle/error.h"

namespace bundle::registry {
namespace {

// Connections that the kernel completes while all workers are busy.
constexpr int kBacklog = 1024;

struct HostAndPort {
  std::string host;
  std::string port;
};

HostAndPort split(const std::string& address) {
  const auto bad = [&]() -> Error {
    return {ErrorCode::usage, fmt::format("\"{}\" is no address to listen on", address),
            "Write ADDR:PORT, for example 127.0.0.1:5000 or [::]:5000."};
  };
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) throw bad();
  HostAndPort parts{address.substr(0, colon), address.substr(colon + 1)};
  if (parts.host.front() == '[') {
    if (parts.host.back() != ']') throw bad();
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  } else if (parts.host.find(':') != std::string::npos) {
    throw bad();
  }
  std::uint16_t number = 0;
  const char* end = parts.port.data() + parts.port.size();
  const auto [at, error] = std::from_chars(parts.port.data(), end, number);
  if (parts.port.empty() || error != std::errc() || at != end) throw bad();
  return parts;
}

void describe(ListenSocket& listener) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  auto* address = reinterpret_cast<sockaddr*>(&bound);
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (::getsockname(listener.fd.get(), address, &size) != 0 ||
      ::getnameinfo(address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    throw Error(ErrorCode::network,
                fmt::format("cannot read back the bound address: {}", std::strerror(errno)));
  }
  std::from_chars(port, port + std::strlen(port), listener.port);
  listener.address = bound.ss_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                                 : fmt::format("{}:{}", host, port);
}

// sd_listen_fds(3): the first descriptor after the standard ones, meant for this process and nobody
// whom it starts.
ListenSocket take_systemd_socket() {
  constexpr int kFirst = 3;
  const char* process = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  int listening = 0;
  socklen_t size = sizeof listening;
  if (process == nullptr || count == nullptr || std::to_string(::getpid()) != process ||
      std::string_view(count) != "1" ||
      ::getsockopt(kFirst, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0) {
    throw Error(ErrorCode::usage, "systemd has not given this process one listening socket",
                "Start bundle-registry.socket with systemctl, or name an address after --listen.");
  }
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
  ListenSocket listener;
  listener.fd = UniqueFd(kFirst);
  if (::fcntl(kFirst, F_SETFD, FD_CLOEXEC) != 0 ||
      ::fcntl(kFirst, F_SETFL, ::fcntl(kFirst, F_GETFL) | O_NONBLOCK) != 0) {
    throw Error(ErrorCode::network,
                fmt::format("cannot use systemd's socket: {}", std::strerror(errno)));
  }
  describe(listener);
  return listener;
}

}  // namespace

ListenSocket open_listen_socket(const std::string& address) {
  if (address == kSystemdSocket) return take_systemd_socket();
  const HostAndPort parts = split(address);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found);
      error != 0) {
    throw Error(ErrorCode::usage,
                fmt::format("cannot listen on {}: {}", address, ::gai_strerror(error)),
                "Name an address of this machine, for example 127.0.0.1:5000.");
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  ListenSocket listener;
  listener.fd = UniqueFd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  const auto* option = &on;
  if (!listener.fd ||
      ::setsockopt(listener.fd.get(), SOL_SOCKET, SO_REUSEADDR, option, sizeof on) != 0 ||
      ::bind(listener.fd.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(listener.fd.get(), kBacklog) != 0) {
    const int error = errno;
    throw Error(ErrorCode::network,
                fmt::format("cannot listen on {}: {}", address, std::strerror(error)),
                error == EADDRINUSE
                    ? "Another program has this port. Stop it or choose another --listen port."
                    : "Name an address of this machine and a port that this user may open.");
  }
  describe(listener);
  return listener;
}

}  // namespace bundle::registry
