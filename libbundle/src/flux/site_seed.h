// What a fresh cluster is given so that Flux brings it to a release: rendered for one site from the
// templates of flux-seed/site. No secret is in it; the same input gives the same bytes.
#pragma once

#include <string>

#include "oci/text_tree.h"
#include "release/manifest.h"
#include "release/site_config.h"

namespace bundle::flux {

struct SeedRequest {
  const release::Manifest& manifest;
  const oci::TextTree& state;  // the files of the release's Flux artifact
  const release::SiteConfig& site;
  bool git = false;        // a GitRepository as source; site.source.git says where
  std::string ca_pem;      // certificate of the registry's authority; empty: not in the seed
  std::string cosign_pem;  // the vendor's public key for the cluster; empty: not in the seed
};

// Paths below the seed's folder: manifests/bundle-*.yaml, which are applied in the order of their
// names; kustomization.yaml, which lists them; secrets.yaml.template.
// Throws Error{spec_invalid} when the release has no desired state or not this profile,
// Error{config_invalid} when the site says too little.
oci::TextTree render_seed(const SeedRequest& request);

// The profile that the site asks for, else that of the release.
std::string seed_profile(const release::Manifest& manifest, const release::SiteConfig& site);

}  // namespace bundle::flux
