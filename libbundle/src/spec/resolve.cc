#include "spec/resolve.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <utility>

#include "bundle/error.h"
#include "oci/artifact.h"
#include "oci/document.h"
#include "oci/flux_artifact.h"
#include "oci/helm_chart.h"
#include "oci/layout.h"
#include "oci/reference.h"
#include "oci/walk.h"
#include "release/naming.h"
#include "spec/flux_state.h"

namespace bundle::spec {
namespace {

constexpr UnixTime kSecondsPerDay = 86'400;
// Chart and files carry no build time (as `flux push artifact --reproducible` does): what did not
// change keeps its digest from release to release, and neither Flux nor a delta sees a difference.
constexpr UnixTime kReproducibleTime = 0;
constexpr std::uint64_t kMaxConfigBytes = 4 * 1024 * 1024;

// Streams bytes that it keeps alive.
class SharedBytesSource final : public Source {
 public:
  explicit SharedBytesSource(std::shared_ptr<const Bytes> bytes)
      : bytes_(std::move(bytes)), source_(*bytes_) {}
  std::size_t read(std::span<std::uint8_t> buffer) override { return source_.read(buffer); }

 private:
  std::shared_ptr<const Bytes> bytes_;
  MemorySource source_;
};

// Where a layer stands in the bundle: image layers by image, whole files at the end.
enum class LayerGroup : std::uint8_t { layers, files };

// The release's blobs in groups, without duplicates.
class BlobCollector {
 public:
  void add(const oci::Closure& closure, const std::shared_ptr<oci::ContentSource>& source,
           const std::string& origin, LayerGroup group) {
    std::set<Digest> configs;
    for (const oci::Document& document : closure.documents) {
      add_document(document, origin);
      if (oci::is_manifest_type(document.descriptor.media_type)) {
        configs.insert(oci::parse_manifest(document).config.digest);
      }
    }
    for (const oci::Descriptor& blob : closure.blobs) {
      auto& layers = group == LayerGroup::files ? files_ : layers_;
      append(configs.contains(blob.digest) ? configs_ : layers,
             {blob.digest, blob.size, blob.media_type, origin,
              [source, blob] { return source->open_blob(blob); }});
    }
  }

  void add_document(const oci::Document& document, const std::string& origin) {
    append(documents_, memory_blob(document.descriptor, document.bytes, origin));
  }

  std::vector<BlobInput> take() {
    std::vector<BlobInput> all = std::move(documents_);
    for (auto* group : {&configs_, &layers_, &files_}) {
      std::move(group->begin(), group->end(), std::back_inserter(all));
    }
    return all;
  }

 private:
  void append(std::vector<BlobInput>& group, BlobInput blob) {
    const auto [known, is_new] = sizes_.emplace(blob.digest, blob.size);
    if (known->second != blob.size) {
      throw Error(ErrorCode::oci_invalid,
                  fmt::format("{}: the blob {} has {} bytes here and {} bytes elsewhere",
                              blob.origin, blob.digest.text(), blob.size, known->second),
                  "One of the images has a wrong manifest. Build or pull it again.");
    }
    if (is_new) group.push_back(std::move(blob));
  }

  std::map<Digest, std::uint64_t> sizes_;
  std::vector<BlobInput> documents_;
  std::vector<BlobInput> configs_;
  std::vector<BlobInput> layers_;
  std::vector<BlobInput> files_;
};

class Resolver {
 public:
  Resolver(FileSystem& fs, const ReleaseSpec& spec, const ResolveOptions& options)
      : fs_(fs), spec_(spec), options_(options) {}

  ResolvedRelease resolve() {
    release::Manifest& manifest = result_.manifest;
    manifest.product = spec_.product;
    manifest.version = spec_.version;
    manifest.release_number = spec_.release_number;
    manifest.created = options_.created;
    manifest.upgrade_from = spec_.upgrade_from;
    manifest.gates = spec_.gates;
    if (!manifest.gates.empty()) manifest.minimum_reader = release::Manifest::kGatesReader;
    if (!manifest.gates.point_of_no_return.empty()) {
      manifest.minimum_reader = release::Manifest::kNoReturnReader;
    }
    manifest.os_base = spec_.os_base;
    manifest.base_policy = spec_.base_policy;
    manifest.k8s_distribution = spec_.k8s_distribution;
    manifest.k8s_version = spec_.k8s_version;
    manifest.chart_path = spec_.chart_path;
    manifest.values_profile = spec_.values_profile;
    result_.expires = expiry();

    for (const ImageSpec& image : spec_.images) manifest.images.push_back(resolve_image(image));
    manifest.chart = resolve_chart();
    if (spec_.flux) manifest.flux = resolve_flux();
    manifest.os_artifacts = resolve_files(spec_.os_artifacts);
    manifest.k8s_artifacts = resolve_files(spec_.k8s_artifacts);
    manifest.files = resolve_files(spec_.files);
    manifest.release_index = make_release_index();
    if (options_.signatures && !spec_.signatures.empty()) add_signatures();
    result_.blobs = blobs_.take();
    return std::move(result_);
  }

 private:
  UnixTime expiry() const {
    const UnixTime days = spec_.expires_days.value_or(options_.default_expires_days);
    const UnixTime expires = spec_.expires.value_or(options_.created + days * kSecondsPerDay);
    if (expires <= options_.created) {
      throw Error(
          ErrorCode::spec_invalid,
          fmt::format("{}: the release expires at {}, before it is made ({})", spec_.file.string(),
                      format_time(expires), format_time(options_.created)),
          "Set a later expires, or expiresDays.");
    }
    return expires;
  }

  // A repository and tag may name one digest only, whichever entries of the spec lead there.
  void claim(const std::string& name, const Digest& digest) {
    const auto [known, is_new] = tags_.emplace(name, digest);
    if (is_new || known->second == digest) return;
    throw Error(ErrorCode::name_collision,
                fmt::format("{} would name two things: {} and {}", name, known->second.text(),
                            digest.text()),
                "Give the entries of the release file different tags.");
  }

  release::Artifact resolve_image(const ImageSpec& image) {
    const oci::ImageName name = oci::ImageName::parse(image.name);
    const auto source = options_.open_source(image.source);
    const oci::Closure closure = oci::walk(*source, {image.platforms, true});
    release::Artifact artifact;
    artifact.name = image.name;
    artifact.registry = name.registry;
    artifact.repository = name.repository;
    artifact.tag = name.tag;
    artifact.descriptor = closure.root.descriptor;
    check_pin(name, image, artifact.descriptor.digest);
    artifact.platforms = image_platforms(*source, closure, image);
    for (const oci::ReferrerRoot& referrer : closure.referrer_roots) {
      artifact.referrers.push_back({referrer.descriptor, referrer.subject, referrer.tag});
    }
    claim_tags(artifact, name.repository_text());
    for (const oci::Document& document : closure.documents) {
      owners_[document.descriptor.digest].push_back(artifact.name);
    }
    blobs_.add(closure, source, image.name, LayerGroup::layers);
    return artifact;
  }

  void check_pin(const oci::ImageName& name, const ImageSpec& image, const Digest& found) const {
    if (!name.digest || *name.digest == found) return;
    throw Error(ErrorCode::spec_invalid,
                fmt::format("{}: the image {} comes from {}, which is {}", spec_.file.string(),
                            image.name, image.source, found.text()),
                "Correct the digest in the name, or the source.");
  }

  void claim_tags(const release::Artifact& artifact, const std::string& repository) {
    if (!artifact.tag.empty()) {
      claim(repository + ":" + artifact.tag, artifact.descriptor.digest);
    }
    for (const release::Referrer& referrer : artifact.referrers) {
      if (!referrer.tag.empty()) {
        claim(repository + ":" + referrer.tag, referrer.descriptor.digest);
      }
    }
  }

  // The walk has made sure of every wanted platform. A single image says in its config what it
  // runs on; what says nothing is no image for a platform.
  static std::vector<oci::Platform> image_platforms(oci::ContentSource& source,
                                                    const oci::Closure& closure,
                                                    const ImageSpec& image) {
    if (oci::is_index_type(closure.root.descriptor.media_type)) return image.platforms;
    const oci::Descriptor config = oci::parse_manifest(closure.root).config;
    if (!oci::is_image_config_type(config.media_type)) return {};
    const std::string what = "the config of " + image.name;
    const auto stream = source.open_blob(config);
    const auto platform = oci::config_platform(read_all(*stream, kMaxConfigBytes, what), what);
    return platform ? std::vector{*platform} : std::vector<oci::Platform>{};
  }

  release::Artifact add_local(oci::Artifact packed, const std::string& repository,
                              const std::string& tag, LayerGroup group) {
    release::Artifact artifact;
    artifact.name = repository + ":" + tag;
    artifact.repository = repository;
    artifact.tag = tag;
    artifact.descriptor = packed.manifest.descriptor;
    claim(artifact.name, artifact.descriptor.digest);
    owners_[artifact.descriptor.digest].push_back(artifact.name);
    const auto source = oci::artifact_source(fs_, std::move(packed), artifact.name);
    blobs_.add(oci::walk(*source), source, artifact.name, group);
    return artifact;
  }

  release::ChartArtifact resolve_chart() {
    oci::ChartArtifact packed = oci::pack_helm_chart(fs_, spec_.chart, kReproducibleTime);
    if (spec_.flux) read_chart(packed);
    return {
        packed.name, packed.version,
        add_local(std::move(packed.artifact), release::chart_repository(spec_.product, packed.name),
                  packed.tag, LayerGroup::layers)};
  }

  void read_chart(const oci::ChartArtifact& packed) {
    const auto source = oci::artifact_source(fs_, packed.artifact, packed.name);
    const auto layer = source->open_blob(packed.artifact.blobs.back().descriptor);
    result_.desired_state = {
        flux::unpack_subcharts(oci::read_tar_gz_tree(*layer, spec_.chart.string())),
        packed.app_version,
        {}};
  }

  release::FluxArtifact resolve_flux() {
    flux::ReleaseImages images;
    for (const release::Artifact& image : result_.manifest.images) images.add(image);
    images.add_local(result_.manifest.chart.artifact);
    oci::FluxArtifactSpec packing;
    DesiredState& state = *result_.desired_state;
    state.files = build_flux_state(fs_, spec_, {state.chart, state.app_version, images});
    packing.files = state.files;
    packing.source = release::flux_repository(spec_.product);
    packing.version = spec_.version;
    return {spec_.flux->profiles, !spec_.flux->install.empty(),
            add_local(oci::pack_flux_artifact(packing), release::flux_repository(spec_.product),
                      release::version_tag(spec_.version), LayerGroup::layers)};
  }

  std::vector<release::FileArtifact> resolve_files(const std::vector<FileSpec>& files) {
    std::vector<release::FileArtifact> out;
    for (const FileSpec& file : files) {
      oci::FileSpec packing;
      packing.path = file.path;
      packing.name = file.name;
      packing.mode = file.mode;
      oci::Artifact packed = oci::pack_file(fs_, packing);
      const oci::Descriptor layer = packed.blobs.back().descriptor;
      out.push_back(
          {file.name, file.mode, layer.size, layer.digest,
           add_local(std::move(packed), release::file_repository(spec_.product, file.name),
                     release::version_tag(spec_.version), LayerGroup::files)});
    }
    return out;
  }

  // Its digest stands for the whole content of the release.
  release::Artifact make_release_index() {
    oci::Index index;
    index.media_type = oci::media_type::kIndex;
    index.artifact_type = release::kReleaseIndexType;
    index.annotations = {{std::string(oci::annotation::kTitle), spec_.product},
                         {std::string(oci::annotation::kVersion), spec_.version}};
    for (const release::Artifact* artifact : result_.manifest.artifacts()) {
      oci::Descriptor entry = artifact->descriptor;
      entry.annotations = {{std::string(oci::annotation::kRefName), artifact->name}};
      index.manifests.push_back(std::move(entry));
    }
    const oci::Document document = oci::make_index(index);
    release::Artifact artifact;
    artifact.repository = release::release_repository(spec_.product);
    artifact.tag = release::version_tag(spec_.version);
    artifact.name = artifact.repository + ":" + artifact.tag;
    artifact.descriptor = document.descriptor;
    claim(artifact.name, artifact.descriptor.digest);
    owners_[artifact.descriptor.digest].push_back(artifact.name);
    blobs_.add_document(document, artifact.name);
    return artifact;
  }

  [[noreturn]] void refuse_signature(const Digest& subject, std::string_view problem) const {
    throw Error(ErrorCode::spec_invalid,
                fmt::format("{}: {} {}", spec_.signatures.string(), subject.text(), problem),
                "Make the signatures for what the release file names now: bundle-make cosign-sign "
                "RELEASE.yaml.");
  }

  void add_signatures() {
    if (!fs_.status(spec_.signatures)) {
      throw Error(ErrorCode::not_found, fmt::format("{} does not exist", spec_.signatures.string()),
                  "Sign the release first: bundle-make cosign-sign RELEASE.yaml --key KEY.");
    }
    for (const auto& [source, tag] : oci::open_layout_entries(fs_, spec_.signatures)) {
      const oci::Closure closure = oci::walk(*source);
      const oci::Manifest signature = oci::parse_manifest(closure.root);
      const auto subject =
          signature.subject ? std::optional(signature.subject->digest) : oci::parse_digest_tag(tag);
      if (!subject) {
        throw Error(ErrorCode::spec_invalid,
                    fmt::format("{}: {} is no signature: it has no subject and no cosign tag",
                                spec_.signatures.string(), closure.root.descriptor.digest.text()),
                    "The folder holds what 'bundle-make cosign-sign' wrote, and nothing else.");
      }
      const auto owners = owners_.find(*subject);
      if (owners == owners_.end()) refuse_signature(*subject, "is signed but not in the release");
      release::Referrer referrer{closure.root.descriptor, *subject, signature.subject ? "" : tag};
      referrer.descriptor.artifact_type = signature.kind();
      for (const std::string& owner : owners->second) add_referrer(owner, referrer);
      blobs_.add(closure, source, "signature of " + owners->second.front(), LayerGroup::layers);
    }
  }

  void add_referrer(const std::string& owner, const release::Referrer& referrer) {
    release::Artifact& artifact = *result_.manifest.find_artifact(owner);
    // cosign and Flux look for bundles first, and where there is one never at the classic form: a
    // bundle of ours would hide the signature that its maker vouches with.
    for (const release::Referrer& upstream : artifact.referrers) {
      if (upstream.subject == referrer.subject && upstream.tag.ends_with(".sig") &&
          referrer.tag.empty()) {
        refuse_signature(referrer.subject, "has a signature by its maker that a bundle would hide");
      }
    }
    artifact.referrers.push_back(referrer);
    const std::string repository = artifact.registry.empty()
                                       ? artifact.repository
                                       : artifact.registry + "/" + artifact.repository;
    claim_tags(artifact, repository);
  }

  FileSystem& fs_;
  const ReleaseSpec& spec_;
  const ResolveOptions& options_;
  ResolvedRelease result_;
  BlobCollector blobs_;
  std::map<Digest, std::vector<std::string>> owners_;  // names of the artifacts of a document
  std::map<std::string, Digest> tags_;
};

}  // namespace

BlobInput memory_blob(const oci::Descriptor& descriptor, Bytes bytes, std::string origin) {
  const auto shared = std::make_shared<const Bytes>(std::move(bytes));
  return {descriptor.digest, shared->size(), descriptor.media_type, std::move(origin),
          [shared] { return std::make_unique<SharedBytesSource>(shared); }};
}

ResolvedRelease resolve(FileSystem& fs, const ReleaseSpec& spec, const ResolveOptions& options) {
  return Resolver(fs, spec, options).resolve();
}

}  // namespace bundle::spec
