// The state of the site as people and probes read it: readiness, metrics of the store, status page.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "registry/blob_files.h"
#include "registry/live_catalog.h"
#include "registry/metrics.h"
#include "registry/pushed_repositories.h"

namespace bundle::registry {

// Thread-safe.
class SiteState {
 public:
  SiteState(const LiveCatalog& live, const PushedRepositories& pushed, const BlobFiles& files,
            const Metrics& metrics)
      : live_(live), pushed_(pushed), files_(files), metrics_(metrics) {}

  // Why the leading release could not be pulled completely now; empty when it could. Looks at each
  // of its blob files (present, right size) at most every two seconds.
  std::vector<std::string> reasons_not_ready();
  // {"ready":true,"release":"1.4.0","active":true} or {"ready":false,"reasons":[...]}
  std::string ready_json();
  // Prometheus text.
  std::string metrics_text();
  // One self-contained HTML page.
  std::string status_html();

 private:
  std::vector<std::string> check() const;

  const LiveCatalog& live_;
  const PushedRepositories& pushed_;
  const BlobFiles& files_;
  const Metrics& metrics_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point checked_at_{};
  std::uint64_t checked_generation_ = 0;
  std::vector<std::string> reasons_;
};

}  // namespace bundle::registry
