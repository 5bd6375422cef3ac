// OCI image-spec models. Documents are kept byte for byte; these structs are a view of them.
// Source: opencontainers/image-spec descriptor.md, manifest.md, image-index.md.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/digest.h"

namespace bundle::oci {

namespace media_type {
inline constexpr std::string_view kIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kEmpty = "application/vnd.oci.empty.v1+json";
inline constexpr std::string_view kLayerTar = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kLayerTarGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kHelmConfig = "application/vnd.cncf.helm.config.v1+json";
inline constexpr std::string_view kHelmChart =
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
}  // namespace media_type

bool is_index_type(std::string_view media_type);     // OCI index or Docker manifest list
bool is_manifest_type(std::string_view media_type);  // OCI or Docker v2 schema 2 manifest

using Annotations = std::map<std::string, std::string, std::less<>>;

// "linux/amd64" or "linux/arm64/v8".
struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;

  static Platform parse(std::string_view text);  // throws Error{usage}
  std::string text() const;
  // True when `wanted` names this platform; an empty variant in `wanted` matches any.
  bool matches(const Platform& wanted) const;
  bool operator==(const Platform&) const = default;
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;
  std::string artifact_type;  // empty when absent
  std::optional<Platform> platform;
  Annotations annotations;
};

}  // namespace bundle::oci
