// The folder of signatures beside a release file: an OCI layout that `make` takes as an input.
#pragma once

#include <string>
#include <vector>

#include "attest/cosign_signature.h"
#include "io/file_system.h"
#include "release/manifest.h"

namespace bundle::attest {

enum class SigningState : std::uint8_t {
  made,      // a new signature
  kept,      // the folder had one by this key
  upstream,  // its maker's own signature travels along; another one could hide it
};

struct SignedArtifact {
  std::string name;
  Digest digest;
  SigningState state = SigningState::made;
};

// Signs whatever a client can pull: Manifest::artifacts(), with the release index. `manifest` is
// that of the release resolved without `folder`. What holds already is kept, so that signing twice
// changes nothing; what is not in the release any more is dropped. The folder is made when it is
// missing. Throws Error{oci_invalid} when the folder is something else, and what the signer throws.
std::vector<SignedArtifact> sign_release(FileSystem& fs, const release::Manifest& manifest,
                                         const Path& folder, const ClusterSigner& signer,
                                         SignatureForm form, UnixTime created);

}  // namespace bundle::attest
