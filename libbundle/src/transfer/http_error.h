// Error answers of servers, put into words.
#pragma once

#include <string>
#include <string_view>

#include "transfer/http_client.h"

namespace bundle::transfer {

// Text of a server, made fit to print: control and non-ASCII bytes become '?', at most 300 bytes.
std::string printable_server_text(std::string_view text);

// The message inside an error body of the OCI distribution-spec ("errors": [{code, message}]) or of
// a token service ("details", "error_description"); empty when there is none.
std::string server_error_message(std::string_view body);

// Reads the rest of an error answer and throws: Error{auth_failed} for 401, 403 and 407,
// Error{not_found} for 404 and 410, else Error{http_status}. `action` says what was tried
// ("get the manifest of registry.example.com/app:1").
[[noreturn]] void throw_status(HttpResponse& response, std::string_view action);

// Reads and drops the rest of a small answer, so that its connection can serve the next request.
void discard_body(HttpResponse& response);

// True for the errors that a new attempt may cure: network and timeout.
bool is_transient(const Error& error);

}  // namespace bundle::transfer
