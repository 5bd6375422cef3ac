// Shared by the vendor's and the site's side of trust.
#pragma once

#include "bundle/trust.h"
#include "trust/trust_root.h"

namespace bundle::source {

TrustRootReport describe_root(const trust::RootMetadata& root, const std::string& fingerprint);

// A file name for people and for sorting: the part after the last slash.
std::string base_name(const std::string& path);

}  // namespace bundle::source
