// Counters of one server, and their Prometheus text.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "registry/request_target.h"

namespace bundle::registry {

// Thread-safe; counting takes no lock.
class Metrics {
 public:
  static constexpr std::size_t kRoutes = static_cast<std::size_t>(RouteKind::upload) + 2;

  // `route` is nothing when the target named none. `bytes` are those of the body.
  void count_answer(const Route* route, unsigned status, std::uint64_t bytes);
  void request_started() { in_flight_.fetch_add(1, std::memory_order_relaxed); }
  void request_ended() { in_flight_.fetch_sub(1, std::memory_order_relaxed); }
  void connection_opened();
  void connection_closed() { connections_.fetch_sub(1, std::memory_order_relaxed); }
  void slow_client_dropped() { slow_clients_.fetch_add(1, std::memory_order_relaxed); }

  std::int64_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
  std::int64_t connections() const { return connections_.load(std::memory_order_relaxed); }

  // Prometheus text format 0.0.4 of these counters.
  std::string text() const;

 private:
  // [route][status / 100]
  std::array<std::array<std::atomic<std::uint64_t>, 6>, kRoutes> answers_{};
  std::array<std::atomic<std::uint64_t>, kRoutes> bytes_{};
  std::atomic<std::int64_t> in_flight_{0};
  std::atomic<std::int64_t> connections_{0};
  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<std::uint64_t> slow_clients_{0};
};

// One metric with its header lines and no labels.
std::string metric_text(std::string_view name, std::string_view type, std::string_view help,
                        std::uint64_t value);

}  // namespace bundle::registry
