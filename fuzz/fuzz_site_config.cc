// Any bytes as a site.yaml: refused, or windows that are open and closed like windows.
#include <cstdlib>

#include "base/bytes.h"
#include "bundle/error.h"
#include "release/site_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  try {
    const release::SiteConfig config =
        release::parse_site_config(as_text({data, size}), "site.yaml");
    for (const release::MaintenanceWindow& window : config.maintenance_windows) {
      const UnixTime opening = window.next_opening(static_cast<UnixTime>(size));
      if (!window.is_open(opening) || window.text().empty()) std::abort();
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::internal || error.message().empty()) std::abort();
  }
  return 0;
}
