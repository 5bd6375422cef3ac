// Signatures of OCI artifacts that cosign and Flux verify with a public key, without a network.
// Sources: sigstore/cosign specs/BUNDLE_SPEC.md and specs/SIGNATURE_SPEC.md; sigstore
// protobuf-specs sigstore_bundle.proto (v0.3); secure-systems-lab/dsse protocol.md; in-toto
// Statement v1.
#pragma once

#include <string>
#include <string_view>

#include "attest/cosign_key.h"
#include "base/time.h"
#include "oci/artifact.h"

namespace bundle::attest {

inline constexpr std::string_view kSigstoreBundleType =
    "application/vnd.dev.sigstore.bundle.v0.3+json";
// What every version of the bundle's type begins with.
inline constexpr std::string_view kSigstoreBundlePrefix = "application/vnd.dev.sigstore.bundle";

enum class SignatureForm : std::uint8_t {
  bundle,   // a referrer with a sigstore bundle: cosign 3, Flux 2.8 and later
  classic,  // a manifest under the tag sha256-<hex>.sig: older ones
};

struct SignatureArtifact {
  oci::Artifact artifact;
  std::string tag;  // of the classic form; else empty
};

// `repository` is what the classic form says about where the artifact is; nobody checks it.
// `created` is an annotation of the bundle form.
SignatureArtifact sign_artifact(const oci::Descriptor& subject, const std::string& repository,
                                const ClusterSigner& signer, SignatureForm form, UnixTime created);

// True when `signature`, the manifest under `tag` (or without one), holds a signature by `key` that
// names `subject`. False for what cannot be read; throws only what reading the source throws.
// Peak memory: a manifest and a payload (kMaxSignaturePayload), some twenty times.
inline constexpr std::uint64_t kMaxSignaturePayload = 256 * 1024;
bool signature_holds(oci::ContentSource& signature, const std::string& tag, const Digest& subject,
                     const EcdsaPublicKey& key);

}  // namespace bundle::attest
