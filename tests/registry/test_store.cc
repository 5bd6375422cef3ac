#include "registry/test_store.h"

#include "codec/json.h"
#include "crypto/digest.h"
#include "trust/statement.h"

namespace bundle::testing {
namespace {

constexpr UnixTime kCreated = 1'700'000'000;

codec::Json to_json(const oci::Descriptor& descriptor) {
  codec::Json json = codec::Json::object();
  json.set("mediaType", descriptor.media_type);
  json.set("digest", descriptor.digest.text());
  json.set("size", descriptor.size);
  if (descriptor.platform) {
    codec::Json platform = codec::Json::object();
    platform.set("os", descriptor.platform->os);
    platform.set("architecture", descriptor.platform->architecture);
    json.set("platform", std::move(platform));
  }
  return json;
}

void write(const Path& path, const std::string& text) {
  write_file_atomically(posix_file_system(), path, as_bytes(text));
}

}  // namespace

oci::Descriptor ReleaseDraft::blob(const std::string& bytes, std::string_view media_type) {
  oci::Descriptor descriptor;
  descriptor.media_type = media_type;
  descriptor.digest = sha256(as_bytes(bytes));
  descriptor.size = bytes.size();
  const Path path = root_ / "blobs" / "sha256" / descriptor.digest.hex();
  if (!std::filesystem::exists(path)) write(path, bytes);
  blobs[descriptor.digest] = descriptor.size;
  return descriptor;
}

oci::Descriptor ReleaseDraft::image(const std::vector<oci::Descriptor>& layers,
                                    const std::optional<oci::Descriptor>& subject,
                                    const std::string& artifact_type,
                                    const std::map<std::string, std::string>& annotations) {
  codec::Json diff_ids = codec::Json::array();
  codec::Json list = codec::Json::array();
  for (const auto& layer : layers) {
    list.push_back(to_json(layer));
    diff_ids.push_back(layer.digest.text());
  }
  codec::Json config = codec::Json::object();
  config.set("architecture", "amd64").set("os", "linux");
  config.set("rootfs", codec::Json::object().set("type", "layers").set("diff_ids", diff_ids));
  codec::Json manifest = codec::Json::object();
  manifest.set("schemaVersion", 2).set("mediaType", oci::media_type::kManifest);
  manifest.set("config", to_json(blob(codec::dump_json(config), oci::media_type::kConfig)));
  manifest.set("layers", std::move(list));
  if (subject) manifest.set("subject", to_json(*subject));
  if (!artifact_type.empty()) manifest.set("artifactType", artifact_type);
  if (!annotations.empty()) {
    codec::Json object = codec::Json::object();
    for (const auto& [key, value] : annotations) object.set(key, value);
    manifest.set("annotations", std::move(object));
  }
  return blob(codec::dump_json(manifest, 2), oci::media_type::kManifest);
}

oci::Descriptor ReleaseDraft::index(const std::vector<oci::Descriptor>& children) {
  codec::Json list = codec::Json::array();
  for (const auto& child : children) list.push_back(to_json(child));
  codec::Json index = codec::Json::object();
  index.set("schemaVersion", 2).set("mediaType", oci::media_type::kIndex);
  index.set("manifests", std::move(list));
  return blob(codec::dump_json(index, 3), oci::media_type::kIndex);
}

release::Artifact& ReleaseDraft::name(const std::string& registry, const std::string& repository,
                                      const std::string& tag, const oci::Descriptor& descriptor) {
  release::Artifact artifact;
  artifact.name = registry + "/" + repository + ":" + tag;
  artifact.registry = registry;
  artifact.repository = repository;
  artifact.tag = tag;
  artifact.descriptor = descriptor;
  artifact.descriptor.platform.reset();
  images.push_back(std::move(artifact));
  return images.back();
}

void ReleaseDraft::flux(const std::string& product, const std::string& version,
                        const oci::Descriptor& descriptor) {
  state.emplace();
  state->profiles = {"single-node"};
  state->artifact.repository = product + "/flux";
  state->artifact.tag = version;
  state->artifact.name = state->artifact.repository + ":" + version;
  state->artifact.descriptor = descriptor;
}

void ReleaseDraft::forget(const Digest& digest) {
  blobs.erase(digest);
}

TestStore::TestStore() : root_(directory_ / "store") {
  store::SiteStore::create(posix_file_system(), root_);
}

std::shared_ptr<store::SiteStore> TestStore::open() const {
  return store::SiteStore::open(posix_file_system(), root_);
}

void TestStore::publish(ReleaseDraft draft, const std::string& version,
                        std::uint64_t number) const {
  release::Manifest manifest;
  manifest.product = "example-appliance";
  manifest.version = version;
  manifest.release_number = number;
  manifest.created = kCreated;
  manifest.os_base = "ubuntu-24.04";
  manifest.k8s_distribution = "k3s";
  manifest.k8s_version = "v1.31.6+k3s1";
  manifest.chart_path = "helm/";
  manifest.values_profile = "single-node";
  manifest.chart.name = "app";
  manifest.chart.version = version;
  auto& chart = manifest.chart.artifact;
  chart.repository = "example-appliance/charts/app";
  chart.tag = version;
  chart.name = chart.repository + ":" + chart.tag;
  chart.descriptor = draft.image({draft.blob("chart " + version, oci::media_type::kHelmChart)});
  manifest.images = draft.images;
  manifest.flux = draft.state;
  const std::string manifest_text = release::write_manifest(manifest);

  std::vector<format::BlobEntry> entries;
  trust::Statement statement;
  for (const auto& [digest, size] : draft.blobs) {
    entries.push_back({digest, size});
    statement.blob_bytes += size;
  }
  const std::string list = format::encode_blob_list(entries);
  statement.product = manifest.product;
  statement.version = version;
  statement.release_number = number;
  statement.created = kCreated;
  statement.expires = kCreated + 365 * 86400;
  statement.manifest_digest = sha256(as_bytes(manifest_text));
  statement.manifest_size = manifest_text.size();
  statement.blob_list_digest = sha256(as_bytes(list));
  statement.blob_list_size = list.size();
  statement.blob_count = entries.size();

  const Path staging = root_ / "staging" / version;
  std::filesystem::create_directories(staging);
  write(staging / "manifest.json", manifest_text);
  write(staging / "blobs.list", list);
  write(staging / "statement.json", trust::encode_statement(statement));
  std::filesystem::rename(staging, root_ / "releases" / version);
}

void TestStore::activate(const std::string& version) const {
  write(root_ / "active", version + "\n");
}

void TestStore::remove_release(const std::string& version) const {
  std::filesystem::remove_all(root_ / "releases" / version);
}

Path TestStore::blob_path(const Digest& digest) const {
  return root_ / "blobs" / "sha256" / digest.hex();
}

}  // namespace bundle::testing
