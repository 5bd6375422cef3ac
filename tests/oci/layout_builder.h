// Makes OCI image layouts by hand, sound or not.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "codec/json.h"
#include "codec/tar_bytes.h"
#include "crypto/digest.h"
#include "oci/document.h"
#include "support/temp_directory.h"

namespace bundle::testing {

using codec::Json;
using oci::Descriptor;

inline Json to_json(const Descriptor& descriptor) {
  Json json = Json::object();
  json.set("mediaType", descriptor.media_type);
  json.set("digest", descriptor.digest.text());
  json.set("size", descriptor.size);
  if (descriptor.platform) {
    Json platform = Json::object();
    platform.set("os", descriptor.platform->os);
    platform.set("architecture", descriptor.platform->architecture);
    if (!descriptor.platform->variant.empty())
      platform.set("variant", descriptor.platform->variant);
    json.set("platform", std::move(platform));
  }
  if (!descriptor.annotations.empty()) {
    Json annotations = Json::object();
    for (const auto& [key, value] : descriptor.annotations) annotations.set(key, value);
    json.set("annotations", std::move(annotations));
  }
  return json;
}

class LayoutBuilder {
 public:
  LayoutBuilder() {
    directory.write("layout/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    write_index();
  }

  std::filesystem::path root() const { return directory / "layout"; }
  std::filesystem::path blob_path(const Digest& digest) const {
    return root() / "blobs/sha256" / digest.hex();
  }

  Descriptor blob(const std::string& content, std::string_view media_type) {
    Descriptor descriptor;
    descriptor.media_type = media_type;
    descriptor.digest = sha256(as_bytes(content));
    descriptor.size = content.size();
    directory.write("layout/blobs/sha256/" + descriptor.digest.hex(), content);
    return descriptor;
  }

  // An image of one platform with the given layers.
  Descriptor image(const std::string& architecture, const std::vector<std::string>& layers,
                   const Descriptor* subject = nullptr) {
    std::vector<Descriptor> descriptors;
    for (const std::string& layer : layers) {
      descriptors.push_back(blob(layer, oci::media_type::kLayerTar));
    }
    const Descriptor config = blob(R"({"architecture":")" + architecture + R"(","os":"linux"})",
                                   oci::media_type::kConfig);
    Descriptor descriptor = manifest(config, descriptors, subject);
    descriptor.platform = oci::Platform{"linux", architecture, ""};
    return descriptor;
  }

  Descriptor artifact(const std::string& type, const std::string& content,
                      const Descriptor* subject = nullptr) {
    return manifest(blob("{}", oci::media_type::kEmpty),
                    {blob(content, "application/octet-stream")}, subject, type);
  }

  Descriptor manifest(const Descriptor& config, const std::vector<Descriptor>& layers,
                      const Descriptor* subject = nullptr, const std::string& artifact_type = "") {
    Json json = Json::object();
    json.set("schemaVersion", 2);
    json.set("mediaType", oci::media_type::kManifest);
    if (!artifact_type.empty()) json.set("artifactType", artifact_type);
    json.set("config", to_json(config));
    Json list = Json::array();
    for (const Descriptor& layer : layers) list.push_back(to_json(layer));
    json.set("layers", std::move(list));
    if (subject != nullptr) json.set("subject", to_json(*subject));
    return blob(dump_json(json, 1), oci::media_type::kManifest);
  }

  Descriptor index(const std::vector<Descriptor>& manifests) {
    return blob(index_text(manifests), oci::media_type::kIndex);
  }

  // Lists a document in index.json, under a tag when one is given.
  void tag(Descriptor descriptor, const std::string& name,
           std::string_view key = oci::annotation::kRefName) {
    if (!name.empty()) descriptor.annotations.insert_or_assign(std::string(key), name);
    entries_.push_back(std::move(descriptor));
    write_index();
  }

  void remove(const Descriptor& descriptor) {
    std::filesystem::remove(blob_path(descriptor.digest));
  }

  // The layout as a tar file.
  std::filesystem::path archive() const {
    std::string tar = header({.name = "./", .type = '5'});
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root())) {
      if (!entry.is_regular_file()) continue;
      tar += file("./" + entry.path().lexically_relative(root()).string(), read(entry.path()));
    }
    return directory.write("layout.tar", tar + end_blocks());
  }

  static std::string read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TempDirectory directory;

 private:
  static std::string index_text(const std::vector<Descriptor>& manifests) {
    Json json = Json::object();
    json.set("schemaVersion", 2);
    json.set("mediaType", oci::media_type::kIndex);
    Json list = Json::array();
    for (const Descriptor& manifest : manifests) list.push_back(to_json(manifest));
    json.set("manifests", std::move(list));
    return dump_json(json, 2);
  }
  void write_index() const { directory.write("layout/index.json", index_text(entries_)); }

  std::vector<Descriptor> entries_;
};

// Names a blob that is nowhere.
inline Descriptor named(const Digest& digest) {
  Descriptor descriptor;
  descriptor.digest = digest;
  return descriptor;
}

// The whole content of a blob.
inline std::string content_of(oci::ContentSource& source, const Descriptor& descriptor) {
  const auto stream = source.open_blob(descriptor);
  const Bytes bytes = read_all(*stream, 1 << 24, "test");
  return std::string(as_text(bytes));
}

}  // namespace bundle::testing
