// Chart.yaml: what a Helm OCI artifact takes from it.
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "codec/json.h"
#include "oci/descriptor.h"

namespace bundle::oci {

struct ChartMetadata {
  codec::Json json;     // all of it, as the artifact's config blob holds it
  std::string name;     // one component of an OCI repository
  std::string version;  // SemVer 2
};

// `where` names the text in messages. Throws Error{spec_invalid|limit}.
ChartMetadata parse_chart_metadata(std::string_view text, const std::string& where);

// The tag under which Helm looks for a version: + is written as _.
std::string chart_tag(std::string version);

// Of the artifact's manifest, as Helm's generateOCIAnnotations makes them: the chart's own
// annotations too, except that they may not set title and version.
Annotations chart_annotations(const ChartMetadata& metadata, UnixTime created);

}  // namespace bundle::oci
