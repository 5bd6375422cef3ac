// A loopback HTTP server whose answers a test writes itself, byte by byte where needed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/unique_fd.h"

namespace bundle::testing {

struct ReceivedRequest {
  std::string method;
  std::string target;                          // path and query as sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  std::string path() const { return target.substr(0, target.find('?')); }
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

struct ScriptedReply {
  int status = 200;
  std::vector<std::string> headers{};  // "Name: value"; Content-Length is added unless present
  std::string body{};
  bool length_header = true;           // false: no Content-Length, the end is the close
  std::size_t cut_after = SIZE_MAX;    // closes the connection after so many body bytes
  std::size_t stall_after = SIZE_MAX;  // sends nothing more after so many body bytes
  bool endless = false;                // repeats the body until the client goes away
  bool drip = false;                   // sends the body byte by byte, 20 ms apart
  std::string raw{};                   // sent as it is instead of everything above
};

// Runs in this process, one thread per connection, on an ephemeral port of 127.0.0.1.
class ScriptedServer {
 public:
  using Handler = std::function<ScriptedReply(const ReceivedRequest&)>;

  explicit ScriptedServer(Handler handler);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string url(const std::string& target) const { return "http://" + host() + target; }

  std::vector<ReceivedRequest> requests() const;
  std::size_t connections() const { return accepted_; }

 private:
  void accept_loop();
  void serve(int fd);
  bool send_reply(int fd, const ReceivedRequest& request, const ScriptedReply& reply);
  bool send_body(int fd, const ScriptedReply& reply);
  void stall(int fd) const;

  Handler handler_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> accepted_{0};
  mutable std::mutex mutex_;
  std::vector<ReceivedRequest> requests_;
  std::vector<std::thread> workers_;
  std::thread acceptor_;
};

}  // namespace bundle::testing
