#include "registry/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace bundle::registry {
namespace {

std::string_view label(std::size_t index) {
  return index + 1 == Metrics::kRoutes ? "none" : route_name(static_cast<RouteKind>(index));
}

}  // namespace

void Metrics::count_answer(const Route* route, unsigned status, std::uint64_t bytes) {
  const std::size_t index = route != nullptr ? static_cast<std::size_t>(route->kind) : kRoutes - 1;
  answers_[index][std::min(status / 100, 5u)].fetch_add(1, std::memory_order_relaxed);
  bytes_[index].fetch_add(bytes, std::memory_order_relaxed);
}

void Metrics::connection_opened() {
  connections_.fetch_add(1, std::memory_order_relaxed);
  accepted_.fetch_add(1, std::memory_order_relaxed);
}

std::string metric_text(std::string_view name, std::string_view type, std::string_view help,
                        std::uint64_t value) {
  return fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
}

std::string Metrics::text() const {
  std::string out =
      "# HELP bundle_registry_requests_total Answers by route and status class.\n"
      "# TYPE bundle_registry_requests_total counter\n";
  for (std::size_t route = 0; route < kRoutes; ++route) {
    for (std::size_t status = 2; status < answers_[route].size(); ++status) {
      const std::uint64_t count = answers_[route][status].load(std::memory_order_relaxed);
      if (count == 0) continue;
      out += fmt::format("bundle_registry_requests_total{{route=\"{}\",status=\"{}xx\"}} {}\n",
                         label(route), status, count);
    }
  }
  out +=
      "# HELP bundle_registry_response_bytes_total Body bytes of the answers by route.\n"
      "# TYPE bundle_registry_response_bytes_total counter\n";
  for (std::size_t route = 0; route < kRoutes; ++route) {
    const std::uint64_t bytes = bytes_[route].load(std::memory_order_relaxed);
    if (bytes == 0) continue;
    out += fmt::format("bundle_registry_response_bytes_total{{route=\"{}\"}} {}\n", label(route),
                       bytes);
  }
  out += metric_text("bundle_registry_requests_in_flight", "gauge", "Requests being answered.",
                     static_cast<std::uint64_t>(std::max<std::int64_t>(0, in_flight())));
  out += metric_text("bundle_registry_connections", "gauge", "Open connections.",
                     static_cast<std::uint64_t>(std::max<std::int64_t>(0, connections())));
  out += metric_text("bundle_registry_connections_total", "counter", "Connections accepted.",
                     accepted_.load(std::memory_order_relaxed));
  out += metric_text("bundle_registry_slow_clients_total", "counter",
                     "Connections closed because the client was too slow.",
                     slow_clients_.load(std::memory_order_relaxed));
  return out;
}

}  // namespace bundle::registry
