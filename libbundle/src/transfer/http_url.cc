#include "transfer/http_url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "bundle/error.h"

namespace bundle::transfer {
namespace {

struct CurlUrlDeleter {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
using CurlUrl = std::unique_ptr<CURLU, CurlUrlDeleter>;

[[noreturn]] void refuse_url(std::string_view what, std::string_view why) {
  throw Error(ErrorCode::usage, fmt::format("{}: {}", what, why),
              "Give a complete address such as https://registry.example.com/path.");
}

bool is_control_or_high(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte >= 0x7F;
}

void check_text(std::string_view text, std::string_view what) {
  if (text.size() > kMaxUrlBytes) refuse_url(what, "the address is too long");
  if (std::ranges::any_of(text, is_control_or_high)) {
    refuse_url(what, "the address has control or non-ASCII characters");
  }
}

std::string part(CURLU* handle, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, flags) != CURLUE_OK || text == nullptr) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

void set(CURLU* handle, std::string_view text, std::string_view what) {
  const std::string copy(text);
  const CURLUcode result = curl_url_set(handle, CURLUPART_URL, copy.c_str(), CURLU_URLENCODE);
  if (result != CURLUE_OK) refuse_url(what, curl_url_strerror(result));
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return text;
}

Url take_apart(CURLU* handle, std::string_view what) {
  Url url;
  url.scheme = lower(part(handle, CURLUPART_SCHEME));
  if (url.scheme != "http" && url.scheme != "https")
    refuse_url(what, "only http and https are spoken");
  if (!part(handle, CURLUPART_USER).empty() || !part(handle, CURLUPART_PASSWORD).empty()) {
    refuse_url(what, "an address may not hold a user name or password");
  }
  url.host = lower(part(handle, CURLUPART_HOST));
  if (url.host.empty()) refuse_url(what, "the address names no host");
  const std::string port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (failure != std::errc{} || end != port.data() + port.size() || url.port == 0) {
    refuse_url(what, "the address has no usable port");
  }
  url.target = part(handle, CURLUPART_PATH);
  if (url.target.empty()) url.target.push_back('/');
  const std::string query = part(handle, CURLUPART_QUERY);
  if (!query.empty()) url.target.append("?").append(query);
  return url;
}

std::uint16_t default_port(std::string_view scheme) {
  return scheme == "https" ? 443 : 80;
}

}  // namespace

Url Url::parse(std::string_view text, std::string_view what) {
  check_text(text, what);
  // libcurl would guess a scheme from the host name ("ftp.example.com"); we never guess.
  const std::size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) refuse_url(what, "the address names no scheme");
  // libcurl reads "https:///x" as host "x".
  if (text.substr(scheme_end + 3).starts_with('/')) refuse_url(what, "the address names no host");
  const CurlUrl handle(curl_url());
  set(handle.get(), text, what);
  return take_apart(handle.get(), what);
}

Url Url::resolve(std::string_view reference, std::string_view what) const {
  if (reference.empty()) return *this;
  check_text(reference, what);
  const CurlUrl handle(curl_url());
  set(handle.get(), text(), what);
  set(handle.get(), reference, what);
  return take_apart(handle.get(), what);
}

std::string Url::origin() const {
  return fmt::format("{}://{}:{}", scheme, host, port);
}

std::string Url::text() const {
  if (port == default_port(scheme)) return fmt::format("{}://{}{}", scheme, host, target);
  return origin() + target;
}

std::string Url::path() const {
  return target.substr(0, target.find('?'));
}

std::string Url::printable() const {
  Url bare = *this;
  bare.target = path();
  return bare.text();
}

std::string percent_encode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace bundle::transfer
