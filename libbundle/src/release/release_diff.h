// What changes from one release to another, in words.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "bundle/release_diff.h"
#include "release/manifest.h"

namespace bundle::release {

// Versions by package URL without version: "pkg:deb/debian/openssl".
using PackageVersions = std::map<std::string, std::set<std::string>, std::less<>>;

inline constexpr std::uint64_t kMaxSbomBytes = 64ull * 1024 * 1024;
inline constexpr std::size_t kMaxPackages = 500'000;

// The package URLs of an SPDX document: every text "pkg:..." in it. Nothing else of the document is
// looked at, so that a large one takes no memory. Throws Error{limit}.
PackageVersions packages_of(std::string_view spdx);

struct DiffSide {
  const Manifest& manifest;
  std::optional<PackageVersions> packages;  // nothing: not known
};

// Gates first, then k3s, chart, base system, images, files, packages; each sorted by name. Packages
// are compared when both sides have them. Pure.
std::vector<ReleaseChange> changes_between(const DiffSide& from, const DiffSide& to);

// The blob with the SBOM document itself, by the manifest of the referrer that has it; nothing when
// the release carries none.
const Referrer* find_sbom(const Manifest& manifest);

}  // namespace bundle::release
