// How a long operation tells a caller where it stands, and how a caller stops it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace bundle {

// Receives progress. Calls come from one thread at a time, at most some tens a second.
// `done_bytes` never goes back within one phase.
class Progress {
 public:
  virtual ~Progress() = default;
  // `phase` is a short verb phrase for people ("importing"). `total_bytes` is 0 when unknown.
  virtual void phase(std::string_view phase, std::uint64_t total_bytes) = 0;
  virtual void advance(std::uint64_t done_bytes) = 0;
  // Something that a person should know and that is no error.
  virtual void note(std::string_view message) = 0;
};

// Ignores everything.
Progress& silent_progress();

// A flag that long loops poll. Set from any thread or from a signal handler.
class Cancel {
 public:
  void request() { requested_.store(true, std::memory_order_relaxed); }
  bool requested() const { return requested_.load(std::memory_order_relaxed); }
  // Throws Error{cancelled} when a stop was requested.
  void check() const;

 private:
  std::atomic<bool> requested_{false};
};

}  // namespace bundle
