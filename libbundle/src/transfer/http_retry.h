// How long to wait before the next attempt.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"
#include "bundle/progress.h"

namespace bundle::transfer {

// RFC 9110 section 10.2.3: seconds, or an HTTP date (in the past: zero). Nothing when malformed.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value, UnixTime now);

// Doubles from `base` per failed attempt (the first is 1) up to `max`, times 0.5 to 1.0 according
// to `chance` in [0, 1).
std::chrono::milliseconds backoff_delay(int failed_attempts, std::chrono::milliseconds base,
                                        std::chrono::milliseconds max, double chance);

// Uniform in [0, 1). Thread-safe; not for secrets.
double random_fraction();

// Blocks. Throws Error{cancelled} when `cancel` (may be null) asks for it.
void sleep_or_cancel(std::chrono::milliseconds delay, const Cancel* cancel);

// 429, 502, 503, 504.
bool is_retry_status(int status);

}  // namespace bundle::transfer
