// A limit on bytes a second, shared by all connections of a run.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

#include "bundle/progress.h"

namespace bundle::transfer {

// Thread-safe.
class RateLimit {
 public:
  // 0: none.
  explicit RateLimit(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}

  // Notes that `bytes` have come and blocks until more may. What waits in the buffers of the
  // connection then holds the sender back. Throws Error{cancelled} when `cancel` (may be null) asks
  // for it.
  void take(std::uint64_t bytes, const Cancel* cancel);

 private:
  std::uint64_t rate_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point free_at_;  // when all that came so far is paid for
};

}  // namespace bundle::transfer
