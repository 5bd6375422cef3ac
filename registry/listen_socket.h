// The socket that the server accepts on.
#pragma once

#include <cstdint>
#include <string>

#include "io/unique_fd.h"

namespace bundle::registry {

struct ListenSocket {
  UniqueFd fd;
  std::string address;     // as bound: "127.0.0.1:5000", "[::1]:5000"
  std::uint16_t port = 0;  // the kernel's choice when 0 was asked for
};

// What open_listen_socket takes for the socket that systemd has opened (sd_listen_fds(3)): it keeps
// taking connections while the service is started anew.
inline constexpr const char* kSystemdSocket = "systemd";

// `address` is kSystemdSocket, or ADDR:PORT or [ADDR]:PORT or NAME:PORT. Throws Error{usage} when
// it is none of these or when systemd gave no socket, Error{network} when it cannot be bound.
ListenSocket open_listen_socket(const std::string& address);

}  // namespace bundle::registry
