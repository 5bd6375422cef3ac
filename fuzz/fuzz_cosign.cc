// Key files and signatures in cosign's forms. No input is a valid signature by this key.
#include <cstddef>

#include "attest/cosign_key.h"
#include "attest/cosign_signature.h"
#include "bundle/error.h"

using namespace bundle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const attest::ClusterSigner signer = attest::key_signer(EcdsaPrivateKey::generate());
  const ByteView input(data + 1, size - 1);
  try {
    if (data[0] == 0) {
      attest::open_cosign_key(input, {}, "input");
      return 0;
    }
    oci::ReferrerSpec spec;
    spec.artifact_type = attest::kSigstoreBundleType;
    spec.bytes.assign(input.begin(), input.end());
    spec.subject.media_type = oci::media_type::kManifest;
    spec.subject.digest = sha256(input);
    const auto source =
        oci::artifact_source(posix_file_system(), oci::pack_referrer(std::move(spec)), "input");
    if (attest::signature_holds(*source, "", sha256(input), signer.public_key)) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
