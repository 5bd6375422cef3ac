// How the chart and the files of a release are called in the site's registry.
// The rules are part of the product's contract: docs/release-spec.md, "Names in the registry".
#pragma once

#include <string>
#include <string_view>

namespace bundle::release {

// `text` as one component of a repository name ([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*): lower case,
// everything else between letters and digits becomes "-" unless the grammar allows it as it is.
// `text` must hold a letter or digit. Several texts may give the same component.
std::string repository_component(std::string_view text);

std::string file_repository(std::string_view product, std::string_view file_name);
std::string chart_repository(std::string_view product, std::string_view chart_name);
// Of the index of all artifacts of a release.
std::string release_repository(std::string_view product);

// Of the desired state for Flux.
std::string flux_repository(std::string_view product);
// The tag under which a site's registry answers with the desired state of the active release.
inline constexpr std::string_view kActiveTag = "active";

// A version as a tag: '+' becomes '_', as Helm does.
std::string version_tag(std::string_view version);

}  // namespace bundle::release
