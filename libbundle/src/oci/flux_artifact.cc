#include "oci/flux_artifact.h"

#include <fmt/format.h>

#include <utility>

#include "codec/json.h"
#include "oci/document.h"

namespace bundle::oci {
namespace {

constexpr UnixTime kReproducibleTime = 0;

ArtifactBlob blob_of(Bytes bytes, std::string_view media_type) {
  ArtifactBlob blob;
  blob.descriptor.media_type = media_type;
  blob.descriptor.digest = sha256(bytes);
  blob.descriptor.size = bytes.size();
  blob.bytes = std::move(bytes);
  return blob;
}

// What an image has, too: registries and scanners look into configs.
ArtifactBlob config_blob(const Digest& tar) {
  codec::Json diff_ids = codec::Json::array();
  diff_ids.push_back(tar.text());
  codec::Json rootfs = codec::Json::object();
  rootfs.set("type", "layers").set("diff_ids", std::move(diff_ids));
  codec::Json config = codec::Json::object();
  config.set("architecture", "")
      .set("os", "")
      .set("created", format_time(kReproducibleTime))
      .set("config", codec::Json::object())
      .set("rootfs", std::move(rootfs));
  return blob_of(to_bytes(codec::dump_json(config)), media_type::kFluxConfig);
}

}  // namespace

Artifact pack_flux_artifact(const FluxArtifactSpec& spec) {
  ArtifactBlob layer = blob_of(pack_tar_gz_tree(spec.files), media_type::kFluxContent);
  ArtifactBlob config = config_blob(sha256(pack_tar_tree(spec.files)));

  Manifest manifest;
  manifest.media_type = media_type::kManifest;
  manifest.config = config.descriptor;
  manifest.layers = {layer.descriptor};
  manifest.annotations = {{std::string(annotation::kCreated), format_time(kReproducibleTime)},
                          {std::string(annotation::kSource), spec.source},
                          {std::string(annotation::kRevision),
                           fmt::format("{}@{}", spec.version, layer.descriptor.digest.text())},
                          {std::string(annotation::kVersion), spec.version}};
  return {make_manifest(manifest), {std::move(config), std::move(layer)}};
}

}  // namespace bundle::oci
