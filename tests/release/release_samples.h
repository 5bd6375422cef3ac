// Small releases for the tests of this room.
#pragma once

#include <string>
#include <string_view>

#include "release/manifest.h"
#include "release/naming.h"
#include "support/temp_directory.h"

namespace bundle::release {

using ScratchFolder = bundle::testing::TempDirectory;

inline Digest digest_of(std::string_view text) {
  return sha256(as_bytes(text));
}

inline Artifact sample_artifact(const std::string& repository, const std::string& tag) {
  Artifact artifact;
  artifact.name = repository + ":" + tag;
  artifact.repository = repository;
  artifact.tag = tag;
  artifact.descriptor.media_type = oci::media_type::kManifest;
  artifact.descriptor.digest = digest_of(artifact.name);
  artifact.descriptor.size = 600;
  return artifact;
}

inline FileArtifact sample_file(const std::string& name, std::uint32_t mode) {
  FileArtifact file;
  file.name = name;
  file.mode = mode;
  file.size = 12345;
  file.content = digest_of("content of " + name);
  file.artifact = sample_artifact(file_repository("example-appliance", name), "1.4.0");
  file.artifact.descriptor.artifact_type = "application/vnd.bundle.file.v1";
  return file;
}

// A release with one of everything.
inline Manifest sample_manifest() {
  Manifest manifest;
  manifest.product = "example-appliance";
  manifest.version = "1.4.0";
  manifest.release_number = 1000400009000;
  manifest.created = 1'795'446'000;
  manifest.upgrade_from = {"1.3.x"};
  manifest.os_base = "ubuntu-24.04";
  manifest.os_artifacts = {sample_file("appliance.qcow2", 0644)};
  manifest.k8s_distribution = "k3s";
  manifest.k8s_version = "v1.31.6+k3s1";
  manifest.k8s_artifacts = {sample_file("k3s", 0755)};
  manifest.chart_path = "helm/";
  manifest.values_profile = "single-node";
  manifest.chart = {"app", "1.4.0", sample_artifact("example-appliance/charts/app", "1.4.0")};
  Artifact image = sample_artifact("app/server", "1.4.0");
  image.name = "registry.example.com/app/server:1.4.0";
  image.registry = "registry.example.com";
  image.descriptor.media_type = oci::media_type::kIndex;
  image.platforms = {oci::Platform::parse("linux/amd64"), oci::Platform::parse("linux/arm64/v8")};
  Referrer signature;
  signature.subject = image.descriptor.digest;
  signature.tag = "sha256-" + image.descriptor.digest.hex() + ".sig";
  signature.descriptor.media_type = oci::media_type::kManifest;
  signature.descriptor.digest = digest_of("signature");
  signature.descriptor.size = 500;
  signature.descriptor.artifact_type = "application/vnd.oci.image.config.v1+json";
  image.referrers = {signature};
  Artifact pinned = sample_artifact("library/redis", "");
  pinned.registry = "docker.io";
  pinned.name = "docker.io/library/redis@" + pinned.descriptor.digest.text();
  manifest.images = {image, pinned};
  manifest.files = {sample_file("install.sh", 0755)};
  return manifest;
}

}  // namespace bundle::release
