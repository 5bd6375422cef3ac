#include "transfer/rate_limit.h"

#include <algorithm>

#include "transfer/http_retry.h"

namespace bundle::transfer {
namespace {
using std::chrono::steady_clock;

// Time that went by without traffic is not saved up for longer than this.
constexpr std::chrono::milliseconds kBurst{250};
}  // namespace

void RateLimit::take(std::uint64_t bytes, const Cancel* cancel) {
  if (rate_ == 0) return;
  std::chrono::milliseconds wait{0};
  {
    const std::lock_guard lock(mutex_);
    const auto now = steady_clock::now();
    const std::chrono::duration<double> cost(static_cast<double>(bytes) /
                                             static_cast<double>(rate_));
    free_at_ =
        std::max(free_at_, now - kBurst) + std::chrono::duration_cast<steady_clock::duration>(cost);
    wait = std::chrono::duration_cast<std::chrono::milliseconds>(free_at_ - now);
  }
  if (wait > std::chrono::milliseconds::zero()) sleep_or_cancel(wait, cancel);
}

}  // namespace bundle::transfer
