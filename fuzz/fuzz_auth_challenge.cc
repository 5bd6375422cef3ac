// The WWW-Authenticate header and the other header values that a server may choose freely.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "transfer/http_download.h"
#include "transfer/http_error.h"
#include "transfer/http_retry.h"
#include "transfer/registry_challenge.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle::transfer;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto challenges = parse_auth_challenges(text);
  if (challenges.size() > kMaxChallenges) std::abort();
  for (const AuthChallenge& challenge : challenges) {
    if (challenge.scheme.empty() || challenge.parameters.size() > kMaxChallengeParameters) {
      std::abort();
    }
  }
  if (const auto range = parse_content_range(text)) {
    if (range->last < range->first || (range->total && *range->total <= range->last)) std::abort();
  }
  if (const auto delay = parse_retry_after(text, 1'700'000'000); delay && delay->count() < 0) {
    std::abort();
  }
  for (const char c : server_error_message(text)) {
    if (c < 0x20 || c >= 0x7F) std::abort();
  }
  return 0;
}
