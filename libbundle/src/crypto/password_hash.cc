#include "crypto/password_hash.h"

#include <crypt.h>

#include <algorithm>
#include <memory>

namespace bundle {
namespace {

constexpr std::size_t kHashLength = 60;
constexpr std::size_t kPrefixLength = 7;  // "$2y$10$"

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

bool is_bcrypt_hash(std::string_view text) {
  if (text.size() != kHashLength || !text.starts_with("$2")) return false;
  if ((text[2] != 'a' && text[2] != 'b' && text[2] != 'y') || text[3] != '$' || text[6] != '$') {
    return false;
  }
  if (!is_digit(text[4]) || !is_digit(text[5])) return false;
  const int cost = (text[4] - '0') * 10 + (text[5] - '0');
  if (cost < 4 || cost > kMaxBcryptCost) return false;
  return std::all_of(text.begin() + kPrefixLength, text.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '/';
  });
}

bool equal_secrets(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

bool bcrypt_matches(std::string_view password, const std::string& hash) {
  if (password.empty() || password.size() > kMaxBcryptPassword || !is_bcrypt_hash(hash) ||
      password.find('\0') != std::string_view::npos) {
    return false;
  }
  const auto state = std::make_unique<crypt_data>();
  const char* made = ::crypt_r(std::string(password).c_str(), hash.c_str(), state.get());
  return made != nullptr && equal_secrets(made, hash);
}

}  // namespace bundle
