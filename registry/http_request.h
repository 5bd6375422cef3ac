// One request as libmicrohttpd hands it over.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "registry/answer.h"
#include "registry/connection_table.h"
#include "registry/push_api.h"
#include "registry/request_target.h"

struct MHD_Connection;

namespace bundle::registry {

// From the request line to the end of the answer.
struct Request {
  std::string target;
  std::variant<Route, Failure> route = Failure{400, error_code::kUnsupported, "no address"};
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  bool headers_seen = false;
  bool verified = false;           // waited for a blob file to be hashed
  bool password_checked = false;   // waited for its password to be hashed
  std::unique_ptr<PushWork> push;  // of a request that changes something
  std::optional<Answer> ready;     // to be sent when the whole request is there
  std::string method;
  std::string user_agent;
  std::string user;     // of the caller, for the log; empty: anybody
  unsigned status = 0;  // 0: the HTTP library refused the request itself
  std::uint64_t bytes = 0;
  // By the file sender, not by the HTTP library, which then only has to close the connection.
  bool sent = false;
  bool sent_whole = false;
  bool keeps_connection = false;  // the client expects to ask again on this connection

  const Route* known_route() const { return std::get_if<Route>(&route); }
};

// What matters in the headers of one request. Views into the connection's memory.
struct HeaderScan {
  RequestHeaders wanted;
  std::string_view content_type;
  std::string_view content_range;
  std::string_view user_agent;
  std::string_view authorization;
  std::string_view content_length;
  bool asks_to_close = false;  // Connection: close
  int hosts = 0;
  int content_lengths = 0;
  int authorizations = 0;
  int transfer_encodings = 0;
  bool transfer_encoding = false;
  bool is_chunked = false;  // and nothing else

  // Whatever leaves doubt where this request ends and the next one begins.
  bool is_ambiguous() const {
    return hosts > 1 || authorizations > 1 || content_lengths > 1 || transfer_encodings > 1 ||
           (transfer_encoding && (content_lengths > 0 || !is_chunked));
  }
  // No read takes a body, so any body is such a doubt.
  bool has_body() const {
    return transfer_encoding || content_lengths > 1 ||
           (content_lengths == 1 && content_length != "0");
  }
};
HeaderScan scan_headers(MHD_Connection* connection);
// Request line and headers as they came, in bytes; 0 when it is not known (yet).
std::uint64_t head_size(MHD_Connection* connection);

// "192.0.2.7:41234"
std::string peer_text(MHD_Connection* connection);
// Nothing when the connection could not be noted at its start.
Connection* connection_of(MHD_Connection* connection);

}  // namespace bundle::registry
