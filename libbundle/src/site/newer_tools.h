// A release that needs newer tools than these brings them along: files named bundle-tools*.deb.
#pragma once

#include <string>

#include "bundle/progress.h"
#include "trust/trust_state.h"
#include "unpack/bundle_reader.h"
#include "unpack/volume_set.h"

namespace bundle::site {

// Puts the tools of a verified release into STORE/tools/<version>/, each with its digest compared,
// and says in words what was done and what the operator does next. The manifest is in a form that
// this program does not know; of it only names and digests of files are read, and those must be
// blobs of the signed list. `state` may be null. Throws Error{revoked|...} as reading blobs does.
std::string stage_newer_tools(FileSystem& fs, const unpack::VolumeSet& volumes,
                              const unpack::VerifiedHead& head, const trust::TrustState* state,
                              const Path& store, const Cancel& cancel);

}  // namespace bundle::site
