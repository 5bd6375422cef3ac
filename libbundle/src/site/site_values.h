// The site's own values for the chart: they stay over every upgrade, so the next chart must accept
// them. Where they stand: docs/operator-guide.md, "Values of the site".
#pragma once

#include <string>
#include <vector>

#include "codec/json.h"
#include "release/manifest.h"
#include "store/site_store.h"

namespace bundle::site {

inline constexpr std::size_t kMaxSiteValuesBytes = 256 * 1024;

struct ValuesCheck {
  std::vector<std::string> problems;  // what the chart's values.schema.json refuses
  std::vector<std::string> notes;     // values that the chart does not have: drift
};

// `text` is YAML, `place` names it in messages. The values are laid over the chart's own, as Helm
// does, and compared with the chart's schema. A chart without a schema accepts everything.
// Throws Error{config_invalid|limit} for a text that is no mapping, Error{store_corrupt} and what
// reading the chart throws. Peak memory: about twenty times the chart's values and schema.
ValuesCheck check_site_values(const store::SiteStore& store, const release::Manifest& release,
                              std::string_view text, const std::string& place);

}  // namespace bundle::site
