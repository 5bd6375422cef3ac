#include "oci/docker_archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "bundle/error.h"
#include "codec/gzip_reader.h"
#include "codec/json.h"
#include "oci/document.h"
#include "oci/layout.h"
#include "oci/reference.h"

namespace bundle::oci {
namespace {

using codec::Json;

constexpr std::size_t kMaxImages = 4096;  // entries of manifest.json
constexpr std::string_view kManifestFile = "manifest.json";

[[noreturn]] void fail(std::string_view where, std::string_view reason) {
  throw Error(ErrorCode::oci_invalid, fmt::format("{}: {}", where, reason),
              "Make the archive again: docker save -o FILE NAME:TAG");
}

// One entry of manifest.json.
struct SavedImage {
  std::string config;
  std::vector<std::string> tags;
  std::vector<std::string> layers;
  bool operator==(const SavedImage&) const = default;
};

const std::string& string_value(const Json& json, std::string_view where) {
  if (!json.is_string()) fail(where, "a string is expected in manifest.json");
  return json.as_string();
}

std::vector<std::string> strings_member(const Json& json, std::string_view key,
                                        std::string_view where) {
  std::vector<std::string> strings;
  const Json* found = json.find(key);
  if (found == nullptr || found->is_null()) return strings;
  if (!found->is_array()) fail(where, fmt::format("'{}' is not an array", key));
  if (found->as_array().size() > kMaxLayers) {
    throw Error(ErrorCode::limit,
                fmt::format("{}: '{}' has more than {} entries", where, key, kMaxLayers),
                "No real image is like that: check where it comes from.");
  }
  for (const Json& item : found->as_array()) strings.push_back(string_value(item, where));
  return strings;
}

Bytes read_member(const LayoutFiles& files, const std::string& path) {
  auto range = files.open(path);
  if (!range) fail(files.name(), fmt::format("the member '{}' is missing", path));
  const auto source = range_source(std::move(*range));
  return read_all(*source, kMaxDocumentBytes, files.name() + "/" + path);
}

std::vector<SavedImage> read_saved_images(const LayoutFiles& files) {
  const std::string where = files.name() + "/manifest.json";
  if (!files.open(std::string(kManifestFile))) {
    fail(files.name(), "it holds no manifest.json and no OCI layout, so it is no docker archive");
  }
  const Bytes bytes = read_member(files, std::string(kManifestFile));
  const Json json = codec::parse_json(as_text(bytes), where);
  if (!json.is_array()) fail(where, "it is not an array");
  if (json.as_array().size() > kMaxImages) {
    throw Error(ErrorCode::limit, fmt::format("{} lists more than {} images", where, kMaxImages),
                "No real image is like that: check where it comes from.");
  }
  std::vector<SavedImage> images;
  for (const Json& item : json.as_array()) {
    const Json* config = item.find("Config");
    if (config == nullptr) fail(where, "an entry has no 'Config'");
    images.push_back({string_value(*config, where), strings_member(item, "RepoTags", where),
                      strings_member(item, "Layers", where)});
  }
  return images;
}

std::string all_tags(const std::vector<SavedImage>& images) {
  std::string text;
  for (const SavedImage& image : images) {
    for (const std::string& tag : image.tags) {
      if (text.size() > 2000) return text + " and more";
      text += fmt::format("{}'{}'", text.empty() ? "" : ", ", tag.substr(0, 300));
    }
  }
  return text.empty() ? "images without a name" : text;
}

// What the archive says is outside input: a tag that is no image name matches nothing.
bool is_named(const SavedImage& image, const ImageName& wanted) {
  return std::ranges::any_of(image.tags, [&](const std::string& tag) {
    try {
      return ImageName::parse_short(tag) == wanted;
    } catch (const Error&) {
      return false;
    }
  });
}

SavedImage choose(const std::vector<SavedImage>& images, const std::string& wanted,
                  const std::string& where) {
  std::optional<SavedImage> chosen;
  for (const SavedImage& image : images) {
    if (!wanted.empty() && !is_named(image, ImageName::parse_short(wanted))) continue;
    if (chosen && chosen->config != image.config) {
      if (wanted.empty()) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} holds more than one image: {}", where, all_tags(images)),
                    "Say which one: docker-archive:FILE:NAME:TAG");
      }
      throw Error(ErrorCode::name_collision,
                  fmt::format("{}: '{}' names two images", where, wanted),
                  "Save the image alone: docker save -o FILE NAME:TAG");
    }
    chosen = image;
  }
  if (!chosen) {
    throw Error(ErrorCode::not_found,
                fmt::format("{} holds no image '{}'; it holds {}", where, wanted, all_tags(images)),
                "Correct the name.");
  }
  return *chosen;
}

Digest hash_range(const FileRange& range) {
  Sha256 hash;
  const auto source = range_source(range);
  copy_all(*source, hash);
  return hash.finish();
}

bool starts_as_gzip(const FileRange& range) {
  std::array<std::uint8_t, 3> start{};
  const auto source = range_source(range);
  return codec::is_gzip(ByteView(start).first(read_full(*source, start)));
}

// diff_ids of an image config: the digests of the uncompressed layers, lowest first.
std::vector<Digest> read_diff_ids(ByteView config, const std::string& where) {
  const Json json = codec::parse_json(as_text(config), where);
  const Json* rootfs = json.find("rootfs");
  if (rootfs == nullptr) fail(where, "the image config has no 'rootfs'");
  std::vector<Digest> digests;
  for (const std::string& text : strings_member(*rootfs, "diff_ids", where)) {
    digests.push_back(Digest::parse(text));
  }
  return digests;
}

// The config is named by its own digest: "<hex>.json" or "blobs/sha256/<hex>".
void check_config_name(const std::string& path, const Digest& actual, const std::string& where) {
  std::string_view stem = path;
  if (const std::size_t slash = stem.rfind('/'); slash != std::string_view::npos) {
    stem.remove_prefix(slash + 1);
  }
  if (stem.ends_with(".json")) stem.remove_suffix(5);
  if (!Digest::is_valid(fmt::format("sha256:{}", stem)) || stem == actual.hex()) return;
  throw Error(ErrorCode::blob_mismatch,
              fmt::format("{}: the image config '{}' hashes to {}", where, path, actual.text()),
              "The archive is damaged: make it again.");
}

class DockerArchiveSource final : public ContentSource {
 public:
  DockerArchiveSource(std::unique_ptr<LayoutFiles> files, const SavedImage& image, std::string name)
      : files_(std::move(files)), name_(std::move(name)) {
    Manifest manifest;
    manifest.media_type = media_type::kManifest;
    const Bytes config = add_config(image.config, manifest);
    add_layers(image.layers, read_diff_ids(config, files_->name() + "/" + image.config), manifest);
    root_ = make_manifest(manifest);
  }

  Document root() override { return root_; }
  std::optional<Document> document(const Descriptor& descriptor) override {
    if (descriptor.digest != root_.descriptor.digest) return std::nullopt;
    return root_;
  }
  std::unique_ptr<Source> open_blob(const Descriptor& descriptor) override {
    const auto found = blobs_.find(descriptor.digest);
    if (found == blobs_.end()) {
      throw Error(ErrorCode::not_found,
                  fmt::format("{} does not hold blob {}", name_, descriptor.digest.text()),
                  "Make the archive again: docker save -o FILE NAME:TAG");
    }
    return verified_source(found->second, descriptor.digest, descriptor.size, name_);
  }
  std::vector<Descriptor> referrers(const Digest&) override { return {}; }
  std::string name() const override { return name_; }

 private:
  Bytes add_config(const std::string& path, Manifest& manifest) {
    Bytes bytes = read_member(*files_, path);
    const Digest digest = sha256(bytes);
    check_config_name(path, digest, files_->name());
    manifest.config.media_type = media_type::kConfig;
    manifest.config.digest = digest;
    manifest.config.size = bytes.size();
    blobs_.emplace(digest, *files_->open(path));
    return bytes;
  }

  void add_layers(const std::vector<std::string>& paths, const std::vector<Digest>& diff_ids,
                  Manifest& manifest) {
    if (paths.size() != diff_ids.size()) {
      fail(files_->name(), fmt::format("the image has {} layers but its config names {}",
                                       paths.size(), diff_ids.size()));
    }
    for (std::size_t i = 0; i < paths.size(); ++i) {
      auto range = files_->open(paths[i]);
      if (!range) fail(files_->name(), fmt::format("the layer '{}' is missing", paths[i]));
      const bool gzip = starts_as_gzip(*range);
      Descriptor layer;
      layer.media_type = gzip ? media_type::kLayerTarGzip : media_type::kLayerTar;
      layer.digest = gzip ? hash_range(*range) : diff_ids[i];
      layer.size = range->size;
      blobs_.emplace(layer.digest, std::move(*range));
      manifest.layers.push_back(std::move(layer));
    }
  }

  std::unique_ptr<LayoutFiles> files_;
  std::string name_;
  Document root_;
  std::map<Digest, FileRange> blobs_;
};

}  // namespace

std::shared_ptr<ContentSource> open_docker_archive(FileSystem& fs, const Path& file,
                                                   const std::string& image, std::string name) {
  auto files = archive_files(fs, file);
  if (files->open("oci-layout") && files->open("index.json")) {
    LayoutSelector selector;
    if (!image.empty()) selector.tag = ImageName::parse_short(image).text();
    return open_layout(std::move(files), selector, std::move(name));
  }
  const SavedImage chosen = choose(read_saved_images(*files), image, file.string());
  return std::make_shared<DockerArchiveSource>(std::move(files), chosen, std::move(name));
}

}  // namespace bundle::oci
