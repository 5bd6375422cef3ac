// The software bill of materials of a whole release.
// Source: SPDX specification 2.3, its JSON schema, and clause 7 (package), 11 (relationship).
#pragma once

#include <string>
#include <string_view>

#include "attest/inventory.h"

namespace bundle::attest {

// artifactType and media type of the document in a registry (IANA).
inline constexpr std::string_view kSpdxType = "application/spdx+json";

struct SpdxSource {
  const release::Manifest& manifest;
  const Inventory& inventory;
  const PackageList& os_packages;  // of the OS image; empty when not known
};

// SPDX 2.3 in JSON. The same release gives the same bytes: the time is the manifest's, the SPDX ids
// and the namespace follow from the content. A package that several images have stands there once.
// Memory: the text, and one map entry of each package and relationship.
std::string write_spdx(const SpdxSource& source);

}  // namespace bundle::attest
