// The desired state of a release is a tree of files; what make adds to the vendor's folder is
// called as here. The names are part of the product's contract. docs/release-spec.md, "Desired
// state for Flux".
#pragma once

#include <string_view>

namespace bundle::flux {

inline constexpr std::string_view kFluxInstallFile = "flux-system/gotk-components.yaml";
inline constexpr std::string_view kFluxInstallFolder = "flux-system/";
inline constexpr std::string_view kProfilesFolder = "profiles/";
inline constexpr std::string_view kValuesFile = "bundle-values.yaml";  // in each profile's folder
inline constexpr std::string_view kValuesConfigMap = "bundle-values";

}  // namespace bundle::flux
