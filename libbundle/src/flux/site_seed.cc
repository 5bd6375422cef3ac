#include "flux/site_seed.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "bundle/error.h"
#include "codec/json.h"
#include "flux/manifest_text.h"
#include "flux/seed_templates.h"
#include "flux/state_files.h"
#include "release/naming.h"

namespace bundle::flux {
namespace {

constexpr std::string_view kManifests = "manifests/";
constexpr std::string_view kHttp = "http://";

using Words = std::map<std::string, std::string, std::less<>>;

// A JSON string is a YAML string, whatever is in it.
std::string yaml_text(std::string_view text) {
  return codec::dump_json(codec::Json(text));
}

// Lines with a "{{word}}" that stands for nothing are dropped.
std::string fill(std::string_view text, const Words& words) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    std::string line(text.substr(0, end));
    text.remove_prefix(end);
    bool dropped = false;
    for (const auto& [word, value] : words) {
      const std::string mark = "{{" + word + "}}";
      const std::size_t at = line.find(mark);
      if (at == std::string::npos) continue;
      line.replace(at, mark.size(), value);
      dropped = dropped || value.empty();
    }
    if (!dropped) out += line;
  }
  return out;
}

// "registry.example.com:5000" of "https://registry.example.com:5000".
std::string host_of(const std::string& url) {
  return url.substr(url.find("://") + 3);
}

// How a source at this site is reached, and whose signature counts: the same for the desired state
// and for what it names.
std::string access_lines(const release::SiteConfig& site) {
  std::string out;
  if (site.source.url.starts_with(kHttp)) out += "insecure: true\n";
  if (site.source.ca) out += "certSecretRef:\n  name: bundle-registry-ca\n";
  if (site.source.login) out += "secretRef:\n  name: bundle-registry-auth\n";
  if (site.source.verify) {
    out += "verify:\n  provider: cosign\n  secretRef:\n    name: bundle-cosign-key\n";
  }
  return out;
}

// Lays the same over every OCIRepository of the release, which is made for any site.
std::string patch_lines(const release::SiteConfig& site) {
  const std::string access = access_lines(site);
  if (access.empty()) return "";
  return "patches:\n  - target:\n      kind: OCIRepository\n    patch: |\n" +
         indent_lines(
             "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata:\n"
             "  name: any\nspec:\n" +
                 indent_lines(access, 2),
             6);
}

std::string without_last_newline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

Words words_of(const SeedRequest& request, const std::string& profile) {
  const release::SiteConfig& site = request.site;
  std::vector<std::string> windows;
  for (const release::MaintenanceWindow& window : site.maintenance_windows)
    windows.push_back(window.text());
  const std::string registry = host_of(site.source.url);
  const std::string url =
      fmt::format("oci://{}/{}", registry, release::flux_repository(request.manifest.product));
  return {{"product", yaml_text(request.manifest.product)},
          {"profile", yaml_text(profile)},
          {"registry", yaml_text(registry)},
          {"source_kind", yaml_text(request.git ? "GitRepository" : "OCIRepository")},
          {"host_name", yaml_text(site.host_names.empty() ? "" : site.host_names.front())},
          {"host_names", yaml_text(fmt::format("{}", fmt::join(site.host_names, ",")))},
          {"storage_class", yaml_text(site.storage_class)},
          {"maintenance_windows", yaml_text(fmt::format("{}", fmt::join(windows, "; ")))},
          {"url", yaml_text(url)},
          {"tag", yaml_text(site.source.tag)},
          {"access", without_last_newline(indent_lines(access_lines(site), 2))},
          {"git_url", yaml_text(site.source.git_url)},
          {"git_branch", yaml_text(site.source.git_branch)},
          {"git_access", site.source.git_login ? "  secretRef:\n    name: bundle-git-auth" : ""},
          {"path", yaml_text(fmt::format("./{}{}", kProfilesFolder, profile))},
          {"patches", without_last_newline(indent_lines(patch_lines(site), 2))}};
}

std::string public_secret(std::string_view name, std::string_view key, std::string_view pem) {
  return fmt::format(
      "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n  namespace: flux-system\n"
      "type: Opaque\nstringData:\n  {}: |\n{}",
      name, key, indent_lines(pem, 4));
}

// Certificates and public keys: a Secret only because Flux reads them from one.
std::string public_keys(const SeedRequest& request) {
  std::string out;
  if (!request.ca_pem.empty()) out += public_secret("bundle-registry-ca", "ca.crt", request.ca_pem);
  if (!request.cosign_pem.empty()) {
    out += public_secret("bundle-cosign-key", "cosign.pub", request.cosign_pem);
  }
  return out;
}

std::string kustomization(const oci::TextTree& seed) {
  std::string out =
      "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n";
  for (const auto& [path, text] : seed) {
    if (path.starts_with(kManifests)) out += "  - " + path + "\n";
  }
  return out;
}

void require_told(bool told, std::string_view what, std::string_view example) {
  if (told) return;
  throw Error(ErrorCode::config_invalid, fmt::format("the site's configuration names no {}", what),
              fmt::format("Add to site.yaml: {}", example));
}

}  // namespace

std::string seed_profile(const release::Manifest& manifest, const release::SiteConfig& site) {
  return site.profile.empty() ? manifest.values_profile : site.profile;
}

oci::TextTree render_seed(const SeedRequest& request) {
  const release::Manifest& manifest = request.manifest;
  if (!manifest.flux) {
    throw Error(ErrorCode::spec_invalid,
                fmt::format("release {} brings no desired state for Flux", manifest.version),
                "Take a release whose release.yaml has the key 'flux'.");
  }
  const std::string profile = seed_profile(manifest, request.site);
  if (std::ranges::find(manifest.flux->profiles, profile) == manifest.flux->profiles.end()) {
    throw Error(ErrorCode::config_invalid,
                fmt::format("release {} has no profile '{}'", manifest.version, profile),
                fmt::format("Write one of these under 'profile' in site.yaml: {}.",
                            fmt::join(manifest.flux->profiles, ", ")));
  }
  require_told(!request.site.source.url.empty(), "registry",
               "source: {url: \"https://registry.example.com:5000\"}");
  require_told(!request.git || !request.site.source.git_url.empty(), "Git repository",
               "source: {git: {url: \"https://git.example.com/appliance.git\"}}");

  oci::TextTree seed;
  const auto put = [&](std::string_view name, std::string text) {
    seed.emplace(fmt::format("{}{}", kManifests, name), std::move(text));
  };
  const Words words = words_of(request, profile);
  const std::string source =
      request.git ? "bundle-30-source.git.yaml" : "bundle-30-source.oci.yaml";
  for (const SeedTemplate& file : seed_templates()) {
    if (file.name.ends_with(".template")) {
      seed.emplace(file.name, fill(file.text, words));
    } else if (!file.name.starts_with("bundle-30-")) {
      put(file.name, fill(file.text, words));
    } else if (file.name == source) {
      put("bundle-30-source.yaml", fill(file.text, words));
    }
  }
  if (const auto install = request.state.find(kFluxInstallFile); install != request.state.end()) {
    put("bundle-10-flux-system.yaml", install->second);
  }
  if (std::string keys = public_keys(request); !keys.empty()) put("bundle-25-keys.yaml", keys);
  seed.emplace("kustomization.yaml", kustomization(seed));
  return seed;
}

}  // namespace bundle::flux
