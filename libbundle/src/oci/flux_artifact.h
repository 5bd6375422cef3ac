// Desired state for Flux as an OCI artifact, as `flux push artifact --reproducible` makes it.
// Source: fluxcd/pkg oci/{globals,push,build}.go, tar/tar.go; flux2 cmd/flux/push_artifact.go.
#pragma once

#include <string>

#include "oci/artifact.h"
#include "oci/text_tree.h"

namespace bundle::oci {

namespace media_type {
inline constexpr std::string_view kFluxConfig = "application/vnd.cncf.flux.config.v1+json";
inline constexpr std::string_view kFluxContent = "application/vnd.cncf.flux.content.v1.tar+gzip";
}  // namespace media_type

namespace annotation {
inline constexpr std::string_view kSource = "org.opencontainers.image.source";
inline constexpr std::string_view kRevision = "org.opencontainers.image.revision";
}  // namespace annotation

struct FluxArtifactSpec {
  TextTree files;
  std::string source;   // where it comes from, for people: Flux shows it in its events
  std::string version;  // of the release; the revision is "<version>@sha256:<digest of the layer>"
};

// Same spec, same bytes: the time of creation is 1970, as with --reproducible.
Artifact pack_flux_artifact(const FluxArtifactSpec& spec);

}  // namespace bundle::oci
