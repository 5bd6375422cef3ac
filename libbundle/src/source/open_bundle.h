// Shared by the calls that read bundles: sources to verified content.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "release/manifest.h"
#include "trust/trust_state.h"
#include "unpack/bundle_reader.h"

namespace bundle::source {

// Who is to be trusted: the site's pinned root, a file, or a fingerprint; in this order.
struct TrustChoice {
  const trust::TrustState* state = nullptr;  // may be null
  std::filesystem::path file;
  std::string fingerprint;
  // For a release that needs a newer reader, after its signatures were found good: does what can be
  // done, and says what the operator does next. May be empty.
  std::function<std::string(const unpack::VolumeSet&, const unpack::VerifiedHead&)> on_newer = {};
};

struct OpenedBundle {
  unpack::VolumeSet volumes;
  trust::TrustRoot chosen;  // whom the operator or the site trusts
  trust::TrustRoot root;    // the same, followed along the chain that the bundle carries
  unpack::VerifiedHead head;
  release::Manifest manifest;
  trust::News news;  // verified by `root`; pointers may be past their dates
};

// The root to begin with; `carried` are the files that came along, for a fingerprint. Throws
// Error{no_trust} when nothing says whom to trust.
trust::TrustRoot choose_root(FileSystem& fs, const std::vector<trust::SignatureFile>& carried,
                             const TrustChoice& trust);

// Throws as choose_root, and what verify_head throws. Reads only.
OpenedBundle open_bundle(FileSystem& fs, unpack::VolumeSet volumes, const TrustChoice& trust);
// Also what open_volumes throws.
OpenedBundle open_bundle(FileSystem& fs, const std::vector<std::filesystem::path>& sources,
                         const TrustChoice& trust);

// Volume numbers that are neither in `volumes` nor in `seen`.
std::vector<std::uint32_t> missing_volumes(const unpack::VolumeSet& volumes,
                                           const std::vector<std::uint32_t>& seen);

}  // namespace bundle::source
