#include "spec/flux_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bundle/error.h"
#include "codec/json_pointer.h"
#include "flux/manifest_text.h"
#include "flux/pin_images.h"

namespace bundle::spec {
namespace {

using codec::Json;

constexpr std::string_view kInstallKustomization =
    "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
    "  - gotk-components.yaml\n";

void require_free(const oci::TextTree& tree, const std::string& path, const ReleaseSpec& spec) {
  if (!tree.contains(path)) return;
  throw Error(ErrorCode::spec_invalid,
              fmt::format("{}: {} is there already", (spec.flux->folder / path).string(), path),
              "bundle-make writes this file itself. Remove it from the folder, or give yours "
              "another name.");
}

// An overlay holds what differs from the chart's values and nothing else.
void require_deltas(const codec::YamlDocument& overlay, const Json& base) {
  std::vector<std::string> lines;
  for (const std::string& pointer : flux::repeated_values(base, overlay.root())) {
    lines.push_back(fmt::format("{}: '{}' is what the chart's values.yaml says, too",
                                overlay.where(pointer),
                                fmt::join(codec::pointer_tokens(pointer), ".")));
  }
  if (lines.empty()) return;
  throw Error(ErrorCode::spec_invalid, fmt::format("{}", fmt::join(lines, "\n")),
              "An overlay holds only what differs. Take these lines out of it.");
}

// The ConfigMap that a HelmRelease takes its values from. Flux substitutes no variables in it:
// values may hold any "${...}".
std::string values_config_map(const ProfileValues& values) {
  std::string out = fmt::format(
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n  namespace: flux-system\n"
      "  labels:\n    reconcile.fluxcd.io/watch: Enabled\n"
      "  annotations:\n    kustomize.toolkit.fluxcd.io/substitute: disabled\ndata:\n",
      flux::kValuesConfigMap);
  const auto add = [&](std::string_view key, std::string_view text) {
    // Line ends and tabs that a block scalar could not give back are no matter in YAML text.
    out += fmt::format("  {}: |\n{}", key, flux::indent_lines(text.empty() ? "{}\n" : text, 4));
  };
  add("profile.yaml", values.overlay);
  add("images.yaml", values.images);
  return out;
}

}  // namespace

ProfileValues profile_values(FileSystem& fs, const ReleaseSpec& spec, const std::string& profile,
                             const FluxInputs& inputs) {
  ProfileValues out;
  const Json base = flux::chart_default_values(inputs.chart);
  Json merged = base;
  if (!spec.flux->values.empty()) {
    const Path file = spec.flux->values / (profile + ".yaml");
    out.overlay = read_text_file(fs, file, flux::kMaxManifestText);
    const auto overlay = flux::parse_manifests(out.overlay, file.string());
    if (overlay.size() > 1 || (overlay.size() == 1 && !overlay.front().root().is_object())) {
      throw Error(ErrorCode::spec_invalid, fmt::format("{}: not one mapping", file.string()),
                  "An overlay is one YAML document of keys and values, as values.yaml is.");
    }
    if (!overlay.empty()) {
      require_deltas(overlay.front(), base);
      merged = flux::merge_values(base, overlay.front().root());
    }
  }
  out.images =
      codec::dump_json(flux::pinning_values(merged, inputs.app_version, inputs.images), 2) + "\n";
  return out;
}

oci::TextTree build_flux_state(FileSystem& fs, const ReleaseSpec& spec, const FluxInputs& inputs) {
  const FluxSpec& flux = *spec.flux;
  oci::TextTree tree = oci::read_folder_tree(fs, flux.folder);
  for (auto& [path, text] : tree) {
    if (flux::is_yaml_file(path)) {
      text =
          flux::pin_images(text, (flux.folder / path).string(), inputs.images, spec.image_patterns);
    }
  }
  if (!flux.install.empty()) {
    const std::string kustomization = std::string(flux::kFluxInstallFolder) + "kustomization.yaml";
    require_free(tree, std::string(flux::kFluxInstallFile), spec);
    require_free(tree, kustomization, spec);
    tree[std::string(flux::kFluxInstallFile)] =
        flux::pin_images(read_text_file(fs, flux.install, flux::kMaxManifestText),
                         flux.install.string(), inputs.images, spec.image_patterns);
    tree[kustomization] = kInstallKustomization;
  }
  for (const std::string& profile : flux.profiles) {
    const std::string path =
        fmt::format("{}{}/{}", flux::kProfilesFolder, profile, flux::kValuesFile);
    require_free(tree, path, spec);
    tree[path] = values_config_map(profile_values(fs, spec, profile, inputs));
  }
  return tree;
}

}  // namespace bundle::spec
