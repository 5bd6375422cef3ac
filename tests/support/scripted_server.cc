#include "support/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <stdexcept>

namespace bundle::testing {
namespace {

constexpr int kPollMs = 20;

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

// One more piece of input; false at the end, or when `stopping`.
bool receive(int fd, std::string& buffer, const std::atomic<bool>& stopping) {
  while (!stopping) {
    pollfd entry{fd, POLLIN, 0};
    if (::poll(&entry, 1, kPollMs) <= 0) continue;
    char piece[16384];
    const ssize_t count = ::recv(fd, &piece[0], sizeof piece, 0);
    if (count <= 0) return false;
    buffer.append(&piece[0], static_cast<std::size_t>(count));
    return true;
  }
  return false;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

ReceivedRequest parse_head(const std::string& head) {
  ReceivedRequest request;
  std::size_t line_end = head.find("\r\n");
  const std::string first = head.substr(0, line_end);
  const std::size_t space = first.find(' ');
  request.method = first.substr(0, space);
  request.target = first.substr(space + 1, first.rfind(' ') - space - 1);
  while (line_end != std::string::npos && line_end + 2 < head.size()) {
    const std::size_t begin = line_end + 2;
    line_end = head.find("\r\n", begin);
    const std::string line = head.substr(begin, line_end - begin);
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t value = line.find_first_not_of(' ', colon + 1);
    request.headers[lower(line.substr(0, colon))] =
        value == std::string::npos ? "" : line.substr(value);
  }
  return request;
}

bool receive_request(int fd, std::string& buffer, ReceivedRequest& request,
                     const std::atomic<bool>& stopping) {
  std::size_t end = 0;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    if (!receive(fd, buffer, stopping)) return false;
    if (buffer.starts_with('\x16')) {  // a TLS greeting: answer as plain servers do
      send_all(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
      return false;
    }
  }
  request = parse_head(buffer.substr(0, end));
  buffer.erase(0, end + 4);
  const std::string length = request.header("content-length");
  const std::size_t want = length.empty() ? 0 : std::stoul(length);
  if (request.header("expect") == "100-continue" && buffer.empty()) {
    send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n");
  }
  while (buffer.size() < want) {
    if (!receive(fd, buffer, stopping)) return false;
  }
  request.body = buffer.substr(0, want);
  buffer.erase(0, want);
  return true;
}

}  // namespace

ScriptedServer::ScriptedServer(Handler handler)
    : handler_(std::move(handler)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (!listener_ || ::bind(listener_.get(), generic, length) != 0 ||
      ::listen(listener_.get(), 64) != 0 || ::getsockname(listener_.get(), generic, &length) != 0) {
    throw std::runtime_error("cannot listen on the loopback");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_loop(); });
}

ScriptedServer::~ScriptedServer() {
  stopping_ = true;
  acceptor_.join();
  for (std::thread& worker : workers_) worker.join();
}

std::vector<ReceivedRequest> ScriptedServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void ScriptedServer::accept_loop() {
  while (!stopping_) {
    pollfd entry{listener_.get(), POLLIN, 0};
    if (::poll(&entry, 1, kPollMs) <= 0) continue;
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ++accepted_;
    workers_.emplace_back([this, fd] {
      const UniqueFd owner(fd);
      serve(fd);
    });
  }
}

void ScriptedServer::serve(int fd) {
  std::string buffer;
  ReceivedRequest request;
  while (receive_request(fd, buffer, request, stopping_)) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (!send_reply(fd, request, handler_(request))) return;
  }
}

bool ScriptedServer::send_reply(int fd, const ReceivedRequest& request,
                                const ScriptedReply& reply) {
  if (!reply.raw.empty()) {
    send_all(fd, reply.raw);
    return false;
  }
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Scripted\r\n";
  bool has_length = !reply.length_header || reply.endless;
  for (const std::string& line : reply.headers) {
    head += line + "\r\n";
    has_length = has_length || lower(line).starts_with("content-length:");
  }
  if (!has_length) head += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
  if (!send_all(fd, head + "\r\n")) return false;
  if (request.method == "HEAD") return true;
  return send_body(fd, reply);
}

bool ScriptedServer::send_body(int fd, const ScriptedReply& reply) {
  if (reply.endless) {
    while (!stopping_ && send_all(fd, reply.body)) continue;
    return false;
  }
  if (reply.drip) {
    for (std::size_t i = 0; i < reply.body.size() && !stopping_; ++i) {
      if (!send_all(fd, std::string_view(reply.body).substr(i, 1))) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return !stopping_;
  }
  const std::size_t end = std::min({reply.body.size(), reply.cut_after, reply.stall_after});
  if (!send_all(fd, std::string_view(reply.body).substr(0, end))) return false;
  if (reply.stall_after <= reply.body.size()) {
    stall(fd);
    return false;
  }
  return end == reply.body.size() && reply.cut_after == SIZE_MAX && reply.length_header;
}

// Keeps the connection open without a word until the client closes it.
void ScriptedServer::stall(int fd) const {
  std::string ignored;
  while (receive(fd, ignored, stopping_)) continue;
}

}  // namespace bundle::testing
