// Passwords of people, as htpasswd files hold them.
#pragma once

#include <string>
#include <string_view>

namespace bundle {

// What bcrypt looks at; a longer password would be cut without a word, so it is refused.
inline constexpr std::size_t kMaxBcryptPassword = 72;
// Each step doubles the time of one check: 14 is about a second on a slow machine.
inline constexpr int kMaxBcryptCost = 14;

// "$2y$10$" (or 2a, 2b), 22 characters of salt, 31 of hash; cost 04 to kMaxBcryptCost.
bool is_bcrypt_hash(std::string_view text);

// By crypt(3). Takes as long as the cost of the hash says. False for a password that is empty,
// too long or has a NUL, and for a hash that is none. Thread-safe.
// Source: N. Provos, D. Mazieres, "A Future-Adaptable Password Scheme", 1999.
bool bcrypt_matches(std::string_view password, const std::string& hash);

// Compares in a time that depends on the lengths only.
bool equal_secrets(std::string_view a, std::string_view b);

}  // namespace bundle
