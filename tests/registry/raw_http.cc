#include "registry/raw_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace bundle::testing {
namespace {

constexpr std::chrono::milliseconds kPatience{20'000};

}  // namespace

RawConnection::RawConnection(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect to the registry");
  }
}

void RawConnection::send(const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return;  // the registry may have closed already: the reply tells
    sent += static_cast<std::size_t>(count);
  }
}

bool RawConnection::fill(std::chrono::milliseconds limit) {
  pollfd wait{fd_.get(), POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(limit.count())) <= 0) return false;
  char chunk[65536];
  const ssize_t count = ::recv(fd_.get(), chunk, sizeof chunk, 0);
  if (count <= 0) return false;
  buffer_.append(chunk, static_cast<std::size_t>(count));
  return true;
}

RawReply RawConnection::read_reply(bool has_body) {
  RawReply reply;
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill(kPatience)) return reply;
  }
  const std::string head = buffer_.substr(0, end);
  buffer_.erase(0, end + 4);
  reply.status = std::atoi(head.substr(head.find(' ') + 1, 3).c_str());
  for (std::size_t at = head.find("\r\n"); at != std::string::npos;) {
    const std::size_t next = head.find("\r\n", at + 2);
    const std::string line = head.substr(at + 2, next - at - 2);
    const std::size_t colon = line.find(": ");
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    reply.headers[name] = colon == std::string::npos ? "" : line.substr(colon + 2);
    at = next;
  }
  const std::size_t length =
      has_body && reply.status != 304
          ? std::strtoull(reply.header("content-length").c_str(), nullptr, 10)
          : 0;
  while (buffer_.size() < length && fill(kPatience)) {
  }
  reply.whole = buffer_.size() >= length;
  reply.body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  return reply;
}

std::string RawConnection::read_to_end(std::chrono::milliseconds limit) {
  while (fill(limit)) {
  }
  return std::exchange(buffer_, {});
}

bool RawConnection::closed_within(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd wait{fd_.get(), POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(left.count())) <= 0) return false;
    char chunk[65536];
    if (::recv(fd_.get(), chunk, sizeof chunk, 0) <= 0) return true;
  }
}

RawReply request(std::uint16_t port, const std::string& method, const std::string& target,
                 const std::vector<std::string>& headers) {
  RawConnection connection(port);
  std::string text = method + " " + target + " HTTP/1.1\r\nHost: registry\r\n";
  for (const std::string& header : headers) text += header + "\r\n";
  connection.send(text + "\r\n");
  return connection.read_reply(method != "HEAD");
}

}  // namespace bundle::testing
