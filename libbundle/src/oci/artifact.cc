#include "oci/artifact.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bundle/error.h"
#include "io/safe_path.h"
#include "oci/document.h"
#include "oci/layout_files.h"

namespace bundle::oci {
namespace {

constexpr std::string_view kEmptyConfig = "{}";

void check_spec(const FileSpec& spec) {
  if (!is_safe_relative_path(spec.name)) {
    throw Error(ErrorCode::usage,
                fmt::format("'{}' is no name for a file of a release", spec.name.substr(0, 300)),
                "Use a plain relative path without '..'.");
  }
  if (spec.mode > 0777) {
    throw Error(
        ErrorCode::usage,
        fmt::format("{}: the mode {:o} has more than permission bits", spec.name, spec.mode),
        "Write a mode such as \"0644\" or \"0755\".");
  }
  if (!is_valid_media_type(spec.media_type) || !is_valid_media_type(spec.artifact_type)) {
    throw Error(ErrorCode::usage,
                fmt::format("{}: '{}' or '{}' is no media type", spec.name,
                            spec.media_type.substr(0, 300), spec.artifact_type.substr(0, 300)),
                "Write type/subtype, such as application/octet-stream.");
  }
}

Descriptor hash_file(FileSystem& fs, const Path& path) {
  const auto file = fs.open(path);
  FileSource source(*file);
  Sha256 hash;
  Descriptor descriptor;
  descriptor.size = copy_all(source, hash);
  descriptor.digest = hash.finish();
  return descriptor;
}

ArtifactBlob empty_config() {
  ArtifactBlob blob;
  blob.bytes = to_bytes(kEmptyConfig);
  blob.descriptor.media_type = media_type::kEmpty;
  blob.descriptor.digest = sha256(blob.bytes);
  blob.descriptor.size = blob.bytes.size();
  return blob;
}

// Streams bytes of an artifact and keeps it alive.
class BytesSource final : public Source {
 public:
  BytesSource(std::shared_ptr<const Artifact> artifact, ByteView bytes)
      : artifact_(std::move(artifact)), source_(bytes) {}
  std::size_t read(std::span<std::uint8_t> buffer) override { return source_.read(buffer); }

 private:
  std::shared_ptr<const Artifact> artifact_;
  MemorySource source_;
};

class ArtifactSource final : public ContentSource {
 public:
  ArtifactSource(FileSystem& fs, Artifact artifact, std::string name)
      : fs_(fs),
        artifact_(std::make_shared<const Artifact>(std::move(artifact))),
        name_(std::move(name)) {}

  Document root() override { return artifact_->manifest; }
  std::optional<Document> document(const Descriptor& descriptor) override {
    if (descriptor.digest != artifact_->manifest.descriptor.digest) return std::nullopt;
    return artifact_->manifest;
  }
  std::unique_ptr<Source> open_blob(const Descriptor& descriptor) override {
    for (const ArtifactBlob& blob : artifact_->blobs) {
      if (blob.descriptor.digest == descriptor.digest) return open(blob);
    }
    throw Error(ErrorCode::not_found,
                fmt::format("{} does not hold blob {}", name_, descriptor.digest.text()),
                "Make the release again from its parts.");
  }
  std::vector<Descriptor> referrers(const Digest&) override { return {}; }
  std::string name() const override { return name_; }

 private:
  std::unique_ptr<Source> open(const ArtifactBlob& blob) {
    if (blob.file.empty()) return std::make_unique<BytesSource>(artifact_, blob.bytes);
    std::shared_ptr<const ReadableFile> file = fs_.open(blob.file);
    const std::uint64_t size = file->size();
    return verified_source({std::move(file), 0, size}, blob.descriptor.digest, blob.descriptor.size,
                           blob.file.string());
  }

  FileSystem& fs_;
  std::shared_ptr<const Artifact> artifact_;
  std::string name_;
};

}  // namespace

Artifact pack_file(FileSystem& fs, const FileSpec& spec) {
  check_spec(spec);
  const ArtifactBlob config = empty_config();
  ArtifactBlob layer;
  layer.file = spec.path;
  layer.descriptor = hash_file(fs, spec.path);
  layer.descriptor.media_type = spec.media_type;
  layer.descriptor.annotations.emplace(annotation::kTitle, spec.name);
  layer.descriptor.annotations.emplace(annotation::kFileMode, fmt::format("{:04o}", spec.mode));

  Manifest manifest;
  manifest.media_type = media_type::kManifest;
  manifest.artifact_type = spec.artifact_type;
  manifest.config = config.descriptor;
  manifest.layers = {layer.descriptor};
  manifest.annotations = spec.annotations;
  manifest.annotations.insert_or_assign(std::string(annotation::kTitle), spec.name);
  if (spec.created) {
    manifest.annotations.insert_or_assign(std::string(annotation::kCreated),
                                          format_time(*spec.created));
  }
  return {make_manifest(manifest), {config, std::move(layer)}};
}

Artifact pack_referrer(ReferrerSpec spec) {
  ArtifactBlob layer;
  layer.descriptor.media_type = spec.artifact_type;
  layer.descriptor.digest = sha256(spec.bytes);
  layer.descriptor.size = spec.bytes.size();
  layer.descriptor.annotations = std::move(spec.layer_annotations);
  layer.bytes = std::move(spec.bytes);
  ArtifactBlob config = empty_config();

  Manifest manifest;
  manifest.media_type = media_type::kManifest;
  manifest.artifact_type = std::move(spec.artifact_type);
  manifest.config = config.descriptor;
  manifest.layers = {layer.descriptor};
  manifest.subject.emplace();
  manifest.subject->media_type = spec.subject.media_type;
  manifest.subject->digest = spec.subject.digest;
  manifest.subject->size = spec.subject.size;
  manifest.annotations = std::move(spec.annotations);
  return {make_manifest(manifest), {std::move(config), std::move(layer)}};
}

std::shared_ptr<ContentSource> artifact_source(FileSystem& fs, Artifact artifact,
                                               std::string name) {
  return std::make_shared<ArtifactSource>(fs, std::move(artifact), std::move(name));
}

}  // namespace bundle::oci
