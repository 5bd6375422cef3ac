#include "attest/package.h"

#include <fmt/format.h>

namespace bundle::attest {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == '~' || c == ':';
}

std::string encode(std::string_view text, bool keep_slashes) {
  std::string out;
  for (const char c : text) {
    if (is_plain(c) || (keep_slashes && c == '/')) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

std::string package_url(const Package& package) {
  std::string out = "pkg:" + package.type + "/";
  if (!package.space.empty()) out += encode(package.space, true) + "/";
  out += encode(package.name, false);
  if (!package.version.empty()) out += "@" + encode(package.version, false);
  char separator = '?';
  for (const auto& [key, value] : package.qualifiers) {
    if (value.empty()) continue;
    out += fmt::format("{}{}={}", separator, key, encode(value, true));
    separator = '&';
  }
  return out;
}

}  // namespace bundle::attest
