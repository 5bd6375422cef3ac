// What the server says on standard error: messages, and one line per request when asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace bundle::registry {

enum class LogForm : std::uint8_t { text, json };

struct RequestRecord {
  std::string peer;  // address and port
  std::string method;
  std::string target;
  unsigned status = 0;
  std::uint64_t bytes = 0;  // of the body that was offered
  std::uint64_t duration_us = 0;
  std::string user_agent;
  std::string user;      // empty: anybody
  bool complete = true;  // false: the connection ended before the answer was out
};

// Writes whole lines; control characters that a client sent are escaped. Thread-safe when
// `write_line` is.
class ServerLog {
 public:
  using WriteLine = std::function<void(std::string_view line)>;  // without line end

  ServerLog(LogForm form, bool log_requests, WriteLine write_line)
      : form_(form), log_requests_(log_requests), write_line_(std::move(write_line)) {}

  bool logs_requests() const { return log_requests_; }
  void message(std::string_view text) const;
  void request(const RequestRecord& record) const;

 private:
  LogForm form_;
  bool log_requests_;
  WriteLine write_line_;
};

}  // namespace bundle::registry
