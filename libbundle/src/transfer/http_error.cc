#include "transfer/http_error.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/json.h"

namespace bundle::transfer {
namespace {

constexpr std::size_t kMaxServerText = 300;

std::string hint_for(int status) {
  if (status == 407) return "The proxy wants a login: check http_proxy and https_proxy.";
  if (status == 401 || status == 403) {
    return "Check that the credentials are right and may read this repository: log in again "
           "(skopeo login, docker login) or name the file with --authfile.";
  }
  if (status == 404 || status == 410) return "Check the name, the tag and the digest.";
  if (status == 429) {
    return "The server limits how often it may be asked. Wait a while or log in, then run the same "
           "command again: what is here already is not fetched again.";
  }
  if (status >= 500) return "The server has a problem. Try again later; it continues.";
  return "Check the address; the server did not accept this request.";
}

ErrorCode code_for(int status) {
  if (status == 401 || status == 403 || status == 407) return ErrorCode::auth_failed;
  if (status == 404 || status == 410) return ErrorCode::not_found;
  return ErrorCode::http_status;
}

// The members that registries and token services put their words into.
std::string message_of(const codec::Json& json) {
  const auto text = [](const codec::Json& object, std::string_view key) {
    const codec::Json* member = object.find(key);
    return member != nullptr && member->is_string() ? member->as_string() : std::string();
  };
  const codec::Json* errors = json.find("errors");
  if (errors != nullptr && errors->is_array() && !errors->as_array().empty()) {
    const codec::Json& first = errors->as_array().front();
    const std::string code = text(first, "code");
    const std::string message = text(first, "message");
    if (code.empty() || message.empty()) return code + message;
    return code + ": " + message;
  }
  for (const std::string_view key : {"error_description", "details", "message", "error"}) {
    if (std::string found = text(json, key); !found.empty()) return found;
  }
  return {};
}

std::string read_error_body(HttpResponse& response) {
  try {
    const Bytes body = read_all(response, kMaxErrorBodyBytes, "the error answer");
    return std::string(as_text(body));
  } catch (const Error&) {
    return {};  // the status is what matters; its explanation may be cut or endless
  }
}

}  // namespace

std::string printable_server_text(std::string_view text) {
  std::string out(text.substr(0, kMaxServerText));
  std::ranges::replace_if(
      out,
      [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte >= 0x7F;
      },
      '?');
  if (text.size() > kMaxServerText) out += "...";
  return out;
}

std::string server_error_message(std::string_view body) {
  try {
    const codec::Json json =
        codec::parse_json(body, "error answer", {.max_bytes = kMaxErrorBodyBytes, .max_depth = 16});
    return printable_server_text(message_of(json));
  } catch (const Error&) {
    return {};  // a page for people, or nothing
  }
}

void throw_status(HttpResponse& response, std::string_view action) {
  const int status = response.status();
  const std::string message = server_error_message(read_error_body(response));
  throw Error(code_for(status),
              fmt::format("cannot {}: {} answered {}{}{}", action, response.url().printable(),
                          status, message.empty() ? "" : ", ", message),
              hint_for(status));
}

void discard_body(HttpResponse& response) {
  read_error_body(response);
}

bool is_transient(const Error& error) {
  return error.code() == ErrorCode::network || error.code() == ErrorCode::timeout;
}

}  // namespace bundle::transfer
