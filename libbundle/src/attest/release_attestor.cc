#include "attest/release_attestor.h"

#include <set>

#include "attest/provenance.h"
#include "attest/spdx.h"
#include "oci/artifact.h"

namespace bundle::attest {
namespace {

// https://github.com/in-toto/attestation: what kind of statement a layer is.
constexpr std::string_view kPredicateType = "in-toto.io/predicate-type";

}  // namespace

void ReleaseAttestor::add(const Digest& blob, BlobContents contents) {
  contents_.insert_or_assign(blob, std::move(contents));
}

std::vector<spec::BlobInput> ReleaseAttestor::attest(release::Manifest& manifest,
                                                     const std::vector<spec::BlobInput>& blobs) {
  std::set<Digest> known;
  for (const spec::BlobInput& blob : blobs) known.insert(blob.digest);
  release::Artifact& index = manifest.release_index.value();
  std::vector<spec::BlobInput> added;
  const auto add_referrer = [&](oci::Artifact artifact, const std::string& origin) {
    index.referrers.push_back({artifact.manifest.descriptor, index.descriptor.digest, {}});
    artifact.blobs.push_back({artifact.manifest.descriptor, artifact.manifest.bytes, {}});
    for (oci::ArtifactBlob& blob : artifact.blobs) {
      if (!known.insert(blob.descriptor.digest).second) continue;
      added.push_back(spec::memory_blob(blob.descriptor, std::move(blob.bytes), origin));
    }
  };

  oci::ReferrerSpec sbom;
  sbom.artifact_type = kSpdxType;
  sbom.subject = index.descriptor;
  sbom.layer_annotations = {{std::string(oci::annotation::kTitle), "sbom.spdx.json"}};
  {
    const Inventory inventory = take_inventory(manifest, blobs, contents_);
    contents_.clear();
    sbom.bytes = to_bytes(write_spdx({manifest, inventory, facts_.os_packages}));
  }
  const Digest sbom_digest = sha256(sbom.bytes);

  oci::ReferrerSpec provenance;
  provenance.artifact_type = kInTotoType;
  provenance.subject = index.descriptor;
  provenance.layer_annotations = {{std::string(oci::annotation::kTitle), "provenance.json"},
                                  {std::string(kPredicateType), std::string(kSlsaProvenance)}};
  provenance.bytes = to_bytes(
      write_provenance({manifest, facts_.builder, facts_.spec, facts_.image_sources, sbom_digest}));
  add_referrer(oci::pack_referrer(std::move(sbom)), "SBOM");
  add_referrer(oci::pack_referrer(std::move(provenance)), "provenance");
  return added;
}

}  // namespace bundle::attest
