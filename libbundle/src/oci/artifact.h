// Plain files as OCI artifacts, and artifacts as content like any image (charts: helm_chart.h).
// Same input and same time give the same bytes.
// Source: opencontainers/image-spec manifest.md ("Guidelines for Artifact Usage").
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "io/file_system.h"
#include "oci/content.h"

namespace bundle::oci {

// artifactType of a plain file.
inline constexpr std::string_view kFileArtifactType = "application/vnd.bundle.file.v1";
inline constexpr std::string_view kFileLayerType = "application/octet-stream";
namespace annotation {
inline constexpr std::string_view kFileMode = "dev.bundle.file.mode";  // of the layer: "0755"
}  // namespace annotation

// Bytes of a blob: in memory, or in a file that must not change until it is streamed (a change is
// noticed by the digest).
struct ArtifactBlob {
  Descriptor descriptor;
  Bytes bytes;  // used when `file` is empty
  Path file;
};

struct Artifact {
  Document manifest;
  std::vector<ArtifactBlob> blobs;  // config first, then layers
};

struct FileSpec {
  Path path;                  // on this machine; never recorded
  std::string name;           // the file's name at the site, a safe relative path: annotation title
  std::uint32_t mode = 0644;  // permission bits: annotation dev.bundle.file.mode
  std::string artifact_type{kFileArtifactType};
  std::string media_type{kFileLayerType};
  Annotations annotations;          // more, on the manifest
  std::optional<UnixTime> created;  // annotation org.opencontainers.image.created
};

// Reads the file once for its digest. Throws Error{usage} for a bad name, mode or media type,
// Error{not_found} and what reading throws. Peak memory 256 KiB.
Artifact pack_file(FileSystem& fs, const FileSpec& spec);

// Bytes that speak about something else: a signature, an SBOM.
struct ReferrerSpec {
  std::string artifact_type;  // the layer's media type, too
  Bytes bytes;
  Descriptor subject;       // of what they speak about; annotations and platform are not recorded
  Annotations annotations;  // on the manifest
  Annotations layer_annotations;  // on the layer
};

// An artifact of one layer with a `subject`: registries list it among the subject's referrers.
Artifact pack_referrer(ReferrerSpec spec);

// The artifact as a source like any image. It has no referrers.
std::shared_ptr<ContentSource> artifact_source(FileSystem& fs, Artifact artifact, std::string name);

}  // namespace bundle::oci
