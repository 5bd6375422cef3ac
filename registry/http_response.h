// An Answer in the form that libmicrohttpd sends.
#pragma once

#include <memory>
#include <string>

#include "registry/answer.h"

struct MHD_Response;

namespace bundle::registry {

struct ResponseRelease {
  void operator()(MHD_Response* response) const;
};
using ResponsePtr = std::unique_ptr<MHD_Response, ResponseRelease>;

// Plain HTTP sends a file by sendfile; TLS reads it in pieces large enough for full records.
// nullptr when memory or file descriptors are out.
ResponsePtr make_response(Answer answer, bool is_head, bool tls, bool close_connection);

// The head of the same answer as text, for what is sent past the library.
std::string response_head(const Answer& answer, bool close_connection);

}  // namespace bundle::registry
