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
inline constexpr std::string_view kOctets = "application/octet-stream";
inline constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kHelmConfig = "application/vnd.cncf.helm.config.v1+json";
inline constexpr std::string_view kHelmChart =
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
}  // namespace media_type

namespace annotation {
inline constexpr std::string_view kTitle = "org.opencontainers.image.title";
inline constexpr std::string_view kCreated = "org.opencontainers.image.created";
inline constexpr std::string_view kDescription = "org.opencontainers.image.description";
inline constexpr std::string_view kVersion = "org.opencontainers.image.version";
inline constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
}  // namespace annotation

// Content of one blob; far above any disk image, far below an overflow of offsets.
inline constexpr std::uint64_t kMaxBlobBytes = std::uint64_t{1} << 44;  // 16 TiB

inline constexpr std::size_t kMaxMediaType = 255;  // RFC 6838: type and subtype have 127 each

bool is_valid_media_type(std::string_view text);     // "type/subtype" of RFC 6838 characters
bool is_index_type(std::string_view media_type);     // OCI index or Docker manifest list
bool is_manifest_type(std::string_view media_type);  // OCI or Docker v2 schema 2 manifest
bool is_document_type(std::string_view media_type);  // either
// An image's config, OCI or Docker: JSON with "os" and "architecture".
bool is_image_config_type(std::string_view media_type);
// Layers that by licence may not be distributed and so may be absent from a source.
bool is_nondistributable_type(std::string_view media_type);

using Annotations = std::map<std::string, std::string, std::less<>>;

// "linux/amd64" or "linux/arm64/v8".
struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;

  static Platform parse(std::string_view text);  // throws Error{usage}
  std::string text() const;
  // True when `wanted` names this platform; an empty variant in `wanted` matches any. As containerd
  // does, no variant on the left stands for the usual one (arm64: v8, arm: v7, amd64: v1).
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
  bool operator==(const Descriptor&) const = default;
};

}  // namespace bundle::oci
