// The WWW-Authenticate header.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::transfer {

inline constexpr std::size_t kMaxChallengeBytes = 8 * 1024;
inline constexpr std::size_t kMaxChallenges = 8;
inline constexpr std::size_t kMaxChallengeParameters = 16;

struct AuthChallenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
};

// One header value, which may hold several challenges (RFC 9110 section 11.6.1). A malformed rest
// ends the list; what was read before it stays. Never throws.
std::vector<AuthChallenge> parse_auth_challenges(std::string_view value);

}  // namespace bundle::transfer
