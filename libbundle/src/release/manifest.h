// The release manifest: what a release consists of, everything pinned by digest.
// JSON by schemas/release-manifest.schema.json; the signed statement names the digest of its bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "crypto/digest.h"
#include "oci/descriptor.h"
#include "release/base_policy.h"
#include "release/gate_rules.h"

namespace bundle::release {

// A manifest that belongs to an artifact: a signature, an attestation, an SBOM.
struct Referrer {
  oci::Descriptor descriptor;
  Digest subject;   // the manifest or index that it speaks about
  std::string tag;  // "sha256-<hex>.sig" when it is found by a cosign tag; else empty
};

// Something that clients pull from the site's registry.
struct Artifact {
  std::string name;      // the full reference, unique in the release: "docker.io/library/redis:7.2"
  std::string registry;  // "docker.io"; empty for what lives at the site: chart, files, flux, index
  std::string repository;  // "library/redis"; "<product>/charts/<name>", "<product>/files/<name>"
  std::string tag;         // "7.2"; empty when the name pins a digest only
  oci::Descriptor descriptor;  // of the manifest or index: media_type, digest, size, artifact_type
  std::vector<oci::Platform> platforms;  // an index is carried for these; empty: not by platform
  std::vector<Referrer> referrers;
};

// A plain file, packed as an OCI artifact of one layer that is the file itself.
struct FileArtifact {
  std::string name;  // "k3s"; unique over os, k8s and files
  std::uint32_t mode = 0644;
  std::uint64_t size = 0;  // of the file
  Digest content;          // of the file = the layer's digest
  Artifact artifact;
};

struct ChartArtifact {
  std::string name;     // of Chart.yaml
  std::string version;  // of Chart.yaml
  Artifact artifact;
};

// Desired state for Flux: docs/release-spec.md, "Desired state for Flux".
struct FluxArtifact {
  std::vector<std::string> profiles;  // folders profiles/<name> in it, sorted
  bool installs_flux = false;         // it holds flux-system/, with Flux itself
  Artifact artifact;
};

// artifactType of Manifest::release_index.
inline constexpr std::string_view kReleaseIndexType = "application/vnd.bundle.release.v1";

struct Manifest {
  std::string product;
  std::string version;  // SemVer 2
  std::uint64_t release_number = 0;
  UnixTime created = 0;
  std::uint32_t minimum_reader = 1;  // at least kGatesReader when there are gates
  std::vector<std::string> upgrade_from;
  GateRules gates;

  std::string os_base;
  std::optional<BasePolicy> base_policy;
  std::vector<FileArtifact> os_artifacts;

  std::string k8s_distribution;
  std::string k8s_version;
  std::vector<FileArtifact> k8s_artifacts;

  std::string chart_path;
  std::string values_profile;
  ChartArtifact chart;

  std::optional<FluxArtifact> flux;

  std::vector<Artifact> images;
  std::vector<FileArtifact> files;

  // An OCI index of all artifacts above: what the SBOM and the provenance of the release speak
  // about. Nothing in releases of early builders.
  std::optional<Artifact> release_index;

  // Readers of this code understand manifests up to this number. What each one added:
  static constexpr std::uint32_t kGatesReader = 2;     // `gates`
  static constexpr std::uint32_t kNoReturnReader = 3;  // `gates.pointOfNoReturn`
  static constexpr std::uint32_t kReaderVersion = kNoReturnReader;

  // Every artifact, in this order: images, chart, desired state, os, k8s, files, release index.
  // Pointers into this object.
  std::vector<const Artifact*> artifacts() const;
  // By Artifact::name; nullptr when the release has no such artifact.
  const Artifact* find_artifact(std::string_view name) const;
  Artifact* find_artifact(std::string_view name);
  // By FileArtifact::name over os, k8s and files; nullptr when there is none.
  const FileArtifact* find_file(std::string_view name) const;
};

inline constexpr std::uint64_t kMaxManifestBytes = 16ull * 1024 * 1024;

// Canonical JSON and a final newline: the same manifest always gives the same bytes.
std::string write_manifest(const Manifest& manifest);

// Strict: schema, canonical form, unique names, limits. Members that this reader does not know are
// ignored: what an older reader must not ignore raises minimumReader. `what` is for messages.
// Throws Error{manifest_invalid}, Error{json_invalid}, Error{limit}, Error{name_collision},
// Error{unsupported} when minimumReader is above ours. Peak memory: about twenty times the text.
Manifest parse_manifest(std::string_view text, std::string_view what);

}  // namespace bundle::release
