// Image names: "registry.example.com/app/server:1.4.0@sha256:...".
// Source: opencontainers/distribution-spec spec.md ("Pulling manifests": name and tag); for hosts
// and short names distribution/reference. ASCII and lower case only: one name, one spelling.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "crypto/digest.h"

namespace bundle::oci {

inline constexpr std::size_t kMaxImageName = 255;  // host "/" repository (distribution-spec)
inline constexpr std::size_t kMaxTag = 128;

struct ImageName {
  std::string registry;    // "registry.example.com:5000", "docker.io", "[::1]:5000"
  std::string repository;  // "app/server"
  std::string tag;         // empty when only a digest (or nothing) is given
  std::optional<Digest> digest;

  // A complete name: host first, no defaults. Throws Error{usage} saying what is wrong.
  static ImageName parse(std::string_view text);
  // What a person types: "redis" is docker.io/library/redis:latest, as Docker reads it.
  static ImageName parse_short(std::string_view text);

  std::string text() const;
  // registry "/" repository.
  std::string repository_text() const { return registry + "/" + repository; }
  bool operator==(const ImageName&) const = default;
};

bool is_valid_repository(std::string_view text);
bool is_valid_tag(std::string_view text);
bool is_valid_registry(std::string_view text);  // host, or host:port

// "sha256-<hex>": the tag schema for referrers (distribution-spec) and, with a suffix ".sig",
// ".att" or ".sbom", cosign's.
std::string digest_tag(const Digest& digest, std::string_view suffix = {});
// The digest that such a tag speaks about; nothing for other tags.
std::optional<Digest> parse_digest_tag(std::string_view tag);

}  // namespace bundle::oci
