// http and https URLs: taken apart, resolved, and printed without secrets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bundle::transfer {

// Longer URLs are refused. Signed links of object stores are some 2,000 bytes.
inline constexpr std::size_t kMaxUrlBytes = 16 * 1024;

// An absolute http or https URL. Value type.
struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; an IPv6 address in brackets
  std::uint16_t port = 0;
  std::string target;  // path and query, percent-encoded, starts with '/'; never a fragment

  // Throws Error{usage} naming `what`: not absolute, another scheme, user information inside (a
  // password belongs in a credential file), control characters, too long.
  static Url parse(std::string_view text, std::string_view what);
  // RFC 3986 section 5: what `reference` (a Location header) means at this URL.
  Url resolve(std::string_view reference, std::string_view what) const;

  std::string text() const;
  // "https://host:port": what decides whether credentials may be sent along.
  std::string origin() const;
  // For messages: no query, because signed links carry their secret there.
  std::string printable() const;
  // The path without the query, percent-encoded.
  std::string path() const;
};

// Percent-encodes everything but the unreserved characters of RFC 3986.
std::string percent_encode(std::string_view text);

}  // namespace bundle::transfer
