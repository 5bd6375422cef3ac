// The templates of flux-seed/site as embedded at build time. Private to the seed.
#pragma once

#include <span>
#include <string_view>

namespace bundle::flux {

struct SeedTemplate {
  std::string_view name;  // "bundle-40-release.yaml"
  std::string_view text;  // "{{name}}" stands for what the seed fills in
};

std::span<const SeedTemplate> seed_templates();

}  // namespace bundle::flux
