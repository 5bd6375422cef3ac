#include "transfer/http_retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>
#include <string>
#include <thread>

namespace bundle::transfer {

using std::chrono::milliseconds;

namespace {

// Ten years: what a server asks for beyond this is the same as for ever, and may not overflow.
constexpr std::int64_t kMaxSeconds = 10LL * 365 * 86400;

// How often a stop request is looked for during a wait.
constexpr milliseconds kSleepSlice{100};

milliseconds from_seconds(std::int64_t seconds) {
  return milliseconds(std::clamp<std::int64_t>(seconds, 0, kMaxSeconds) * 1000);
}

}  // namespace

std::optional<milliseconds> parse_retry_after(std::string_view value, UnixTime now) {
  if (value.empty() || value.size() > 64) return std::nullopt;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (std::ranges::all_of(value, is_digit)) {
    std::int64_t seconds = 0;
    const auto result = std::from_chars(value.data(), value.data() + value.size(), seconds);
    return from_seconds(result.ec == std::errc{} ? seconds : kMaxSeconds);
  }
  // All three date forms of RFC 9110 end in a year or in GMT; a bare number never comes here.
  const std::int64_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return from_seconds(date - now);
}

milliseconds backoff_delay(int failed_attempts, milliseconds base, milliseconds max,
                           double chance) {
  const int doublings = std::clamp(failed_attempts - 1, 0, 30);
  const double full = std::min(std::ldexp(static_cast<double>(base.count()), doublings),
                               static_cast<double>(max.count()));
  return milliseconds(std::llround(full * (0.5 + chance / 2)));
}

double random_fraction() {
  thread_local std::minstd_rand engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
}

void sleep_or_cancel(milliseconds delay, const Cancel* cancel) {
  using std::chrono::steady_clock;
  const auto until = steady_clock::now() + delay;
  while (steady_clock::now() < until) {
    if (cancel != nullptr) cancel->check();
    const auto left = until - steady_clock::now();
    std::this_thread::sleep_for(std::min<steady_clock::duration>(left, kSleepSlice));
  }
}

bool is_retry_status(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

}  // namespace bundle::transfer
