#include "attest/inventory.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "oci/artifact.h"
#include "oci/document.h"

namespace bundle::attest {
namespace {

// moby/buildkit docs/attestations/attestation-storage.md
constexpr std::string_view kAttestationType = "vnd.docker.reference.type";

// Files by path, as the layers so far leave them.
class OverlayView {
 public:
  // What a layer removes is of the layers below it; what it adds comes after.
  void add(const BlobContents& layer) {
    for (const std::string& path : layer.removed) {
      files_.erase(path);
      erase_below(path + "/");
    }
    for (const std::string& folder : layer.emptied) erase_below(folder);
    for (const FoundFile& file : layer.files) files_[file.path] = &file;
  }

  const std::map<std::string, const FoundFile*>& files() const { return files_; }

 private:
  void erase_below(const std::string& prefix) {
    auto at = files_.lower_bound(prefix);
    while (at != files_.end() && at->first.starts_with(prefix)) at = files_.erase(at);
  }

  std::map<std::string, const FoundFile*> files_;
};

// ID and VERSION_ID of os-release; etc/ comes before usr/lib/.
Package system_of(const OverlayView& view) {
  for (const auto& [path, file] : view.files()) {
    if (file->is_os_release && !file->list.packages.empty()) return file->list.packages.front();
  }
  return {};
}

// Names the distribution that a system package is of.
void set_distribution(Package& package, const Package& system) {
  if (package.type != "deb" && package.type != "apk" && package.type != "rpm") return;
  package.space = system.name;
  if (system.name.empty() && package.type == "deb") package.space = "debian";
  if (system.name.empty() && package.type == "apk") package.space = "alpine";
  if (!system.name.empty() && !system.version.empty()) {
    package.qualifiers["distro"] = system.name + "-" + system.version;
  }
}

std::vector<FoundPackage> packages_of(const OverlayView& view) {
  const Package system = system_of(view);
  std::map<Package, std::string> found;  // with the first path
  for (const auto& [path, file] : view.files()) {
    if (file->is_os_release) continue;
    for (Package package : file->list.packages) {
      set_distribution(package, system);
      found.try_emplace(std::move(package), path);
    }
  }
  std::vector<FoundPackage> out;
  for (const auto& [package, path] : found) out.push_back({package, path});
  return out;
}

class InventoryTaker {
 public:
  InventoryTaker(const std::vector<spec::BlobInput>& blobs, const ContentsByBlob& contents)
      : contents_(contents) {
    for (const spec::BlobInput& blob : blobs) blobs_.emplace(blob.digest, &blob);
  }

  void add_image(const release::Artifact& image) { add_document(image, image.descriptor, ""); }

  void add_file(const release::FileArtifact& file) {
    const auto scanned = contents_.find(file.content);
    if (scanned == contents_.end()) return;
    for (const FoundFile& found : scanned->second.files) {
      // The file itself; one that is a tar may be anything, and is not taken for an image.
      if (!found.path.empty()) continue;
      for (const Package& package : found.list.packages) {
        result_.files[file.name].push_back({package, file.name});
      }
    }
  }

  Inventory take() { return std::move(result_); }

 private:
  void add_document(const release::Artifact& image, const oci::Descriptor& descriptor,
                    const std::string& platform) {
    const auto blob = blobs_.find(descriptor.digest);
    if (blob == blobs_.end()) return;  // a platform that the release does not carry
    const std::string what = fmt::format("{} of {}", descriptor.digest.text(), image.name);
    const auto source = blob->second->open();
    const oci::Document document{descriptor, read_all(*source, oci::kMaxDocumentBytes, what)};
    if (!oci::is_index_type(descriptor.media_type)) {
      return add_manifest(image, document, platform);
    }
    for (const oci::Descriptor& child : oci::parse_index(document).manifests) {
      if (child.annotations.contains(kAttestationType)) continue;
      if (!oci::is_document_type(child.media_type)) continue;
      add_document(image, child, child.platform ? child.platform->text() : platform);
    }
  }

  void add_manifest(const release::Artifact& image, const oci::Document& document,
                    const std::string& platform) {
    ImageInventory out;
    out.name = image.name;
    out.registry = image.registry;
    out.repository = image.repository;
    out.tag = image.tag;
    out.manifest = document.descriptor;
    out.platform =
        platform.empty() && image.platforms.size() == 1 ? image.platforms.front().text() : platform;
    OverlayView view;
    std::set<std::string> problems;
    for (const oci::Descriptor& layer : oci::parse_manifest(document).layers) {
      const auto scanned = contents_.find(layer.digest);
      if (scanned == contents_.end()) continue;
      view.add(scanned->second);
      for (const std::string& problem : scanned->second.problems) {
        problems.insert(fmt::format("layer {}: {}", layer.digest.text(), problem));
      }
    }
    for (const auto& [path, file] : view.files()) {
      if (!file->list.problem.empty()) {
        problems.insert(fmt::format("{}: {}", path, file->list.problem));
      }
    }
    out.packages = packages_of(view);
    out.problems.assign(problems.begin(), problems.end());
    result_.images.push_back(std::move(out));
  }

  const ContentsByBlob& contents_;
  std::map<Digest, const spec::BlobInput*> blobs_;
  Inventory result_;
};

}  // namespace

bool is_worth_scanning(const spec::BlobInput& blob) {
  return blob.media_type.find("tar") != std::string::npos || blob.media_type == oci::kFileLayerType;
}

Inventory take_inventory(const release::Manifest& manifest,
                         const std::vector<spec::BlobInput>& blobs,
                         const ContentsByBlob& contents) {
  InventoryTaker taker(blobs, contents);
  for (const release::Artifact& image : manifest.images) taker.add_image(image);
  for (const auto* files : {&manifest.os_artifacts, &manifest.k8s_artifacts, &manifest.files}) {
    for (const release::FileArtifact& file : *files) taker.add_file(file);
  }
  return taker.take();
}

}  // namespace bundle::attest
