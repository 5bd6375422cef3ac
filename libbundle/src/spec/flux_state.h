// The desired state of a release for Flux: the vendor's folder with every image by its digest, the
// values of each profile, and Flux itself. docs/release-spec.md, "Desired state for Flux".
#pragma once

#include <string>

#include "flux/chart_values.h"
#include "flux/image_references.h"
#include "flux/release_images.h"
#include "flux/state_files.h"
#include "io/file_system.h"
#include "oci/text_tree.h"
#include "spec/spec.h"

namespace bundle::spec {

// `chart`: the packed chart's tree; `app_version` of its Chart.yaml.
struct FluxInputs {
  const oci::TextTree& chart;
  std::string app_version;
  const flux::ReleaseImages& images;
};

// Throws Error{spec_invalid} (YAML, an overlay that repeats its base, a file that is written here),
// Error{unsafe_path|limit}, and what reading throws.
oci::TextTree build_flux_state(FileSystem& fs, const ReleaseSpec& spec, const FluxInputs& inputs);

// What a site lays over the chart's values in a profile: the overlay, then the digests.
struct ProfileValues {
  std::string overlay;  // YAML as written; empty when there is none
  std::string images;   // JSON, which is YAML
};
ProfileValues profile_values(FileSystem& fs, const ReleaseSpec& spec, const std::string& profile,
                             const FluxInputs& inputs);

}  // namespace bundle::spec
