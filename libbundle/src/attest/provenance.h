// How a release was made: an in-toto statement with SLSA provenance.
// Sources: in-toto attestation framework, spec/v1/statement.md; SLSA v1.0 provenance
// (https://slsa.dev/provenance/v1).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "crypto/digest.h"
#include "release/manifest.h"

namespace bundle::attest {

inline constexpr std::string_view kInTotoType = "application/vnd.in-toto+json";
inline constexpr std::string_view kInTotoStatement = "https://in-toto.io/Statement/v1";
inline constexpr std::string_view kSlsaProvenance = "https://slsa.dev/provenance/v1";
// Says how the members below "buildDefinition" are to be read: docs/release-spec.md.
inline constexpr std::string_view kBuildType = "urn:bundle:bundle-make:make:v1";
inline constexpr std::string_view kDefaultBuilder = "urn:bundle:bundle-make";

struct ProvenanceSource {
  const release::Manifest& manifest;
  std::string_view builder;                       // URI of who ran the build
  Digest spec;                                    // of the release file
  const std::vector<std::string>& image_sources;  // ImageSpec::source, in the manifest's order
  Digest sbom;                                    // made along with it
};

// Canonical JSON. No times, no versions of tools, no names of machines: the same inputs give the
// same bytes.
std::string write_provenance(const ProvenanceSource& source);

}  // namespace bundle::attest
