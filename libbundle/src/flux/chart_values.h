// A chart's values: the overlays of the profiles, and the digests that a release sets in them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "flux/release_images.h"
#include "oci/text_tree.h"

namespace bundle::flux {

// The same chart with every packed subchart ("<chart>/charts/name-1.2.3.tgz") as a folder in its
// place, at any depth up to kMaxSubchartDepth. Throws Error{limit}, Error{name_collision} for a
// subchart that is there twice, and as oci::read_tar_gz_tree.
inline constexpr std::size_t kMaxSubchartDepth = 8;
oci::TextTree unpack_subcharts(oci::TextTree chart);

// values.yaml of a packed chart (its tree has "<chart>/values.yaml") with the values of its
// subcharts below their names, as Helm merges them; an empty object when there is none.
// Throws Error{spec_invalid}, Error{limit}.
codec::Json chart_default_values(const oci::TextTree& chart);

// `overlay` over `base`, as Helm coalesces: mappings are merged, everything else is replaced, null
// removes.
codec::Json merge_values(const codec::Json& base, const codec::Json& overlay);

// Pointers to what an overlay says just as its base does. An overlay holds what differs.
std::vector<std::string> repeated_values(const codec::Json& base, const codec::Json& overlay);

// What has to be laid over `values` so that the images of the release are asked for by digest: of a
// mapping {repository, tag} its `digest` if it has that key, else the tag "7@sha256:..."; of a text
// that is an image's reference the text. `app_version` stands for an empty tag, as in most charts.
codec::Json pinning_values(const codec::Json& values, std::string_view app_version,
                           const ReleaseImages& images);

}  // namespace bundle::flux
