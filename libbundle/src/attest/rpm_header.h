// The header of one installed rpm package, as every rpm database keeps it.
//
// Bytes of strangers: never throws for them.
// Source: rpm docs/manual/format_v4.md (Header) and hregions.md; rpm-tags(7).
#pragma once

#include "attest/package_files.h"
#include "base/bytes.h"

namespace bundle::attest {

// Headers with the file lists of large packages have some MiB.
inline constexpr std::uint32_t kMaxRpmHeaderBytes = 16 * 1024 * 1024;
// rpm's own limit.
inline constexpr std::uint32_t kMaxRpmHeaderTags = 65'535;

// One package, or nothing for a signing key that rpm keeps as if it were one (gpg-pubkey); else the
// problem. Every entry of the index must lie within the header, also of tags that nobody asks for.
PackageList parse_rpm_header(ByteView header);

}  // namespace bundle::attest
