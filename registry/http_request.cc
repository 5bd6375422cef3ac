#include "registry/http_request.h"

#include <fmt/format.h>
#include <microhttpd.h>
#include <netdb.h>
#include <strings.h>

#include <cstring>

namespace bundle::registry {
namespace {

MHD_Result scan_header(void* closure, MHD_ValueKind /*kind*/, const char* name, const char* value) {
  auto& scan = *static_cast<HeaderScan*>(closure);
  const std::string_view text = value == nullptr ? std::string_view() : value;
  const auto is = [name](const char* wanted) { return ::strcasecmp(name, wanted) == 0; };
  if (is("Range")) scan.wanted.range = text;
  if (is("If-Range")) scan.wanted.if_range = text;
  if (is("If-None-Match")) scan.wanted.if_none_match = text;
  if (is("User-Agent")) scan.user_agent = text;
  if (is("Host")) ++scan.hosts;
  if (is("Content-Type")) scan.content_type = text;
  if (is("Content-Range")) scan.content_range = text;
  // A list of tokens; none that is in use has "close" in it.
  if (is("Connection") && value != nullptr) {
    scan.asks_to_close |= ::strcasestr(value, "close") != nullptr;
  }
  if (is("Transfer-Encoding")) {
    ++scan.transfer_encodings;
    scan.transfer_encoding = true;
    scan.is_chunked = ::strcasecmp(std::string(text).c_str(), "chunked") == 0;
  }
  if (is("Content-Length")) {
    ++scan.content_lengths;
    scan.content_length = text;
  }
  if (is("Authorization")) {
    ++scan.authorizations;
    scan.authorization = text;
  }
  return MHD_YES;
}

}  // namespace

HeaderScan scan_headers(MHD_Connection* connection) {
  HeaderScan scan;
  MHD_get_connection_values(connection, MHD_HEADER_KIND, &scan_header, &scan);
  return scan;
}

std::uint64_t head_size(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info == nullptr ? 0 : info->header_size;
}

std::string peer_text(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (info == nullptr || info->client_addr == nullptr) return "unknown";
  const sockaddr* address = info->client_addr;
  const socklen_t size =
      address->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (::getnameinfo(address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown";
  }
  return address->sa_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                        : fmt::format("{}:{}", host, port);
}

Connection* connection_of(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr : static_cast<Connection*>(info->socket_context);
}

}  // namespace bundle::registry
