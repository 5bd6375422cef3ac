// A small HTTP client on a bare socket: what it sends may be as wrong as a test likes.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/unique_fd.h"

namespace bundle::testing {

struct RawReply {
  int status = 0;                              // 0: the connection ended without an answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool whole = false;  // Content-Length bytes of body arrived

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

class RawConnection {
 public:
  explicit RawConnection(std::uint16_t port);

  void send(const std::string& bytes);
  // Reads one answer. `has_body` false: the answer to a HEAD request.
  RawReply read_reply(bool has_body = true);
  // Reads until the other side closes; nothing more than `limit` is waited for.
  std::string read_to_end(std::chrono::milliseconds limit = std::chrono::milliseconds(10'000));
  // True when the other side closes within the limit.
  bool closed_within(std::chrono::milliseconds limit);
  int socket() const { return fd_.get(); }

 private:
  bool fill(std::chrono::milliseconds limit);

  UniqueFd fd_;
  std::string buffer_;
};

// One request on a connection of its own. `headers`: whole lines without line ends.
RawReply request(std::uint16_t port, const std::string& method, const std::string& target,
                 const std::vector<std::string>& headers = {});
inline RawReply get(std::uint16_t port, const std::string& target,
                    const std::vector<std::string>& headers = {}) {
  return request(port, "GET", target, headers);
}

}  // namespace bundle::testing
