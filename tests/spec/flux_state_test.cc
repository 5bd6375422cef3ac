// The desired state for Flux: what make writes into it, and how it travels.
#include "spec/flux_state.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "codec/json_pointer.h"
#include "codec/yaml.h"
#include "flux/chart_values.h"
#include "flux/manifest_text.h"
#include "flux/pin_images.h"
#include "oci/document.h"
#include "oci/flux_artifact.h"
#include "oci/layout.h"
#include "oci/text_tree.h"
#include "release/release_samples.h"
#include "spec/layout_maker.h"
#include "spec/resolve.h"
#include "support/expect_error.h"

namespace bundle::spec {
namespace {

constexpr std::string_view kSpec = R"(apiVersion: bundle/v1
kind: Release
releaseVersion: 1.4.0
product: example-appliance
os: {base: ubuntu-24.04}
k8s: {distribution: k3s, version: v1.31.6+k3s1}
app: {chartPath: helm/, valuesProfile: single-node}
images:
- {name: "registry.example.com/app/server:1.4.0", source: "oci:images:server"}
- {name: "docker.io/library/redis:7", source: "oci:images:redis"}
flux: {path: flux/, install: install.yaml, values: values/}
)";

class StateFolder {
 public:
  StateFolder() {
    LayoutMaker images(scratch_, "images");
    server_ = images.image("amd64", {"server"});
    images.tag(server_, "server");
    redis_ = images.image("amd64", {"redis"});
    images.tag(redis_, "redis");
    write("helm/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.4.0\nappVersion: \"1.4.0\"\n");
    write("helm/values.yaml",
          "server:\n  replicas: 1\n  image: {repository: registry.example.com/app/server, tag: "
          "\"\"}\n"
          "redis:\n  image: {repository: redis, tag: 7, digest: \"\"}\nlog: info\n");
    write("values/single-node.yaml", "log: warn\n");
    write("values/ha-3node.yaml", "server: {replicas: 3}\n");
    write("install.yaml", "kind: Deployment\nspec: {image: docker.io/library/redis:7}\n");
    write("flux/README.md", "redis:7 stays as it is here\n");
    write("flux/profiles/single-node/kustomization.yaml", "resources: [../../app]\n");
    write("flux/profiles/ha-3node/kustomization.yaml", "resources: [../../app]\n");
    write("flux/app/chart.yaml",
          "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: "
          "app}\nspec:\n"
          "  interval: 10m\n  url: oci://${bundle_registry}/example-appliance/charts/app\n");
  }

  void write(const std::string& path, const std::string& text) const { scratch_.write(path, text); }

  ResolvedRelease resolve(std::string_view text = kSpec) const {
    const ReleaseSpec spec =
        load_spec(posix_file_system(), scratch_.write("release.yaml", std::string(text)));
    ResolveOptions options;
    options.created = 1'795'446'000;
    options.open_source = [folder = spec.folder()](const std::string& reference) {
      return oci::open_local_source(posix_file_system(), reference, folder);
    };
    return spec::resolve(posix_file_system(), spec, options);
  }

  static oci::TextTree state(const ResolvedRelease& release) {
    const Digest digest = release.manifest.flux->artifact.descriptor.digest;
    const oci::Manifest manifest =
        oci::parse_manifest(blob(release, digest), oci::media_type::kManifest, "flux");
    EXPECT_EQ(manifest.config.media_type, oci::media_type::kFluxConfig);
    EXPECT_EQ(manifest.layers.at(0).media_type, oci::media_type::kFluxContent);
    const Bytes layer = blob(release, manifest.layers.at(0).digest);
    MemorySource source(layer);
    return oci::read_tar_gz_tree(source, "layer");
  }

  static Bytes blob(const ResolvedRelease& release, const Digest& digest) {
    const auto at = std::ranges::find(release.blobs, digest, &BlobInput::digest);
    EXPECT_NE(at, release.blobs.end());
    return read_all(*at->open(), 1 << 24, "blob");
  }

  std::string server() const { return server_.digest.text(); }
  std::string redis() const { return redis_.digest.text(); }

 private:
  release::ScratchFolder scratch_;
  LayoutMaker::Entry server_;
  LayoutMaker::Entry redis_;
};

std::string text_at(const codec::Json& root, std::string_view pointer) {
  const codec::Json* value = codec::value_at(root, pointer);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

TEST(FluxState, IsAnArtifactOfTheRelease) {
  const StateFolder folder;
  const ResolvedRelease release = folder.resolve();
  const release::Manifest& manifest = release.manifest;
  ASSERT_TRUE(manifest.flux);
  EXPECT_EQ(manifest.flux->artifact.name, "example-appliance/flux:1.4.0");
  EXPECT_EQ(manifest.flux->profiles, (std::vector<std::string>{"ha-3node", "single-node"}));
  EXPECT_TRUE(manifest.flux->installs_flux);
  EXPECT_EQ(manifest.artifacts().at(3),
            &manifest.flux->artifact);  // two images and the chart first
  const release::Manifest again =
      release::parse_manifest(release::write_manifest(manifest), "manifest.json");
  EXPECT_EQ(again.flux->artifact.descriptor.digest, manifest.flux->artifact.descriptor.digest);
  EXPECT_EQ(again.flux->profiles, manifest.flux->profiles);
  EXPECT_EQ(folder.resolve().manifest.flux->artifact.descriptor.digest,
            manifest.flux->artifact.descriptor.digest);
}

TEST(FluxState, ChartAndImagesAreAskedForByDigest) {
  const StateFolder folder;
  const ResolvedRelease release = folder.resolve();
  const oci::TextTree tree = StateFolder::state(release);
  const auto chart = flux::parse_manifests(tree.at("app/chart.yaml"), "chart.yaml");
  EXPECT_EQ(text_at(chart.at(0).root(), "/spec/ref/digest"),
            release.manifest.chart.artifact.descriptor.digest.text());
  EXPECT_NE(tree.at("flux-system/gotk-components.yaml").find("redis@" + folder.redis()),
            std::string::npos);
  EXPECT_EQ(tree.at("README.md"), "redis:7 stays as it is here\n");
}

TEST(FluxState, EachProfileHasItsOverlayAndTheDigests) {
  const StateFolder folder;
  const oci::TextTree tree = StateFolder::state(folder.resolve());
  const auto map =
      flux::parse_manifests(tree.at("profiles/ha-3node/bundle-values.yaml"), "values").at(0);
  EXPECT_EQ(text_at(map.root(), "/metadata/name"), "bundle-values");
  EXPECT_EQ(text_at(map.root(), "/data/profile.yaml"), "server: {replicas: 3}\n");
  const auto images =
      flux::parse_manifests(text_at(map.root(), "/data/images.yaml"), "images").at(0);
  // An empty tag is the chart's appVersion; a chart that knows digests gets one.
  EXPECT_EQ(text_at(images.root(), "/server/image/tag"), "1.4.0@" + folder.server());
  EXPECT_EQ(text_at(images.root(), "/redis/image/digest"), folder.redis());
}

TEST(FluxState, AnOverlayHoldsOnlyWhatDiffers) {
  const StateFolder folder;
  folder.write("values/ha-3node.yaml", "log: debug\nserver:\n  replicas: 1\n");
  const Error error = testing::expect_error(ErrorCode::spec_invalid, [&] { folder.resolve(); });
  EXPECT_NE(error.message().find("values/ha-3node.yaml:3:3: 'server.replicas'"), std::string::npos)
      << error.message();
  EXPECT_EQ(error.message().find("debug"), std::string::npos) << error.message();
}

TEST(FluxState, AFileThatMakeWritesMayNotBeThere) {
  const StateFolder folder;
  folder.write("flux/profiles/ha-3node/bundle-values.yaml", "kind: ConfigMap\n");
  testing::expect_error(ErrorCode::spec_invalid, [&] { folder.resolve(); });
}

TEST(FluxState, TheProfileOfNewSitesMustBeThere) {
  const StateFolder folder;
  std::string text(kSpec);
  text.replace(text.find("single-node"), 11, "two-nodes-x");
  const Error error = testing::expect_error(ErrorCode::spec_invalid, [&] { folder.resolve(text); });
  EXPECT_NE(error.message().find("profiles/two-nodes-x"), std::string::npos) << error.message();
}

class PinImages : public ::testing::Test {
 protected:
  PinImages() {
    release::Artifact redis;
    redis.registry = "docker.io";
    redis.repository = "library/redis";
    redis.tag = "7";
    redis.descriptor.digest = sha256(as_bytes(std::string_view("redis")));
    images_.add(redis);
    digest_ = redis.descriptor.digest.text();
    pinned_ = "docker.io/library/redis@" + digest_;
  }
  std::string pin(const std::string& text) const {
    return flux::pin_images(text, "test.yaml", images_, patterns_);
  }

  flux::ReleaseImages images_;
  flux::ImagePatterns patterns_;
  std::string digest_;
  std::string pinned_;
};

TEST_F(PinImages, EditsTheReferenceAndNothingElse) {
  EXPECT_EQ(pin("# redis:7\ncontainers:\n- name: redis\n  image: redis:7  # the cache\n"),
            "# redis:7\ncontainers:\n- name: redis\n  image: \"" + pinned_ + "\"  # the cache\n");
  EXPECT_EQ(pin("containers: [{name: a, image: 'redis:7'}, {image: redis:8}]\n"),
            "containers: [{name: a, image: \"" + pinned_ + "\"}, {image: redis:8}]\n");
  EXPECT_EQ(pin("a: 1\n---\nkind: X\nspec: {image: docker.io/library/redis:7}\n"),
            "a: 1\n---\nkind: X\nspec: {image: \"" + pinned_ + "\"}\n");
}

TEST_F(PinImages, KnowsTheFormsOfTheField) {
  EXPECT_EQ(pin("image: {repository: redis, tag: 7}\n"),
            "image: {repository: redis, tag: \"7@" + digest_ + "\"}\n");
  EXPECT_EQ(pin("image: {repository: redis, tag: 7, digest: \"\"}\n"),
            "image: {repository: redis, tag: 7, digest: \"" + digest_ + "\"}\n");
  EXPECT_EQ(pin("images:\n- name: redis\n  newTag: \"7\"\n"),
            "images:\n- name: redis\n  digest: \"" + digest_ + "\"\n");
  EXPECT_EQ(pin("args: [--cache-image=redis:7]\n"), "args: [--cache-image=" + pinned_ + "]\n");
  EXPECT_EQ(pin("env: [{name: RELATED_IMAGE_CACHE, value: redis:7}]\n"),
            "env: [{name: RELATED_IMAGE_CACHE, value: \"" + pinned_ + "\"}]\n");
  EXPECT_EQ(pin("data:\n  pod.yaml: |\n    image: docker.io/library/redis:7\n"),
            "data:\n  pod.yaml: |\n    image: " + pinned_ + "\n");
}

TEST_F(PinImages, LeavesWhatTheReleaseHasNotAndWhatIsPinned) {
  for (const std::string& text :
       {std::string("image: busybox\n"), "image: " + pinned_ + "\n",
        std::string("image: redis:70\n"), std::string("image: >-\n  redis:7\n")}) {
    EXPECT_EQ(pin(text), text);
  }
}

TEST_F(PinImages, LooksIntoPatches) {
  EXPECT_EQ(
      pin("postRenderers:\n- kustomize:\n    patches:\n    - patch: |\n        - op: replace\n"
          "          path: /spec/template/spec/containers/0/image\n"
          "          value: redis:7\n"),
      "postRenderers:\n- kustomize:\n    patches:\n    - patch: |\n        - op: replace\n"
      "          path: /spec/template/spec/containers/0/image\n          value: " +
          pinned_ + "\n");
  EXPECT_EQ(pin("patches: [{patch: '[{op: add, path: /spec/image, value: redis:7}]'}]\n"),
            "patches: [{patch: '[{op: add, path: /spec/image, value: " + pinned_ + "}]'}]\n");
  EXPECT_EQ(pin("patches: [{op: add, path: /spec/image, value: redis:7}]\n"),
            "patches: [{op: add, path: /spec/image, value: \"" + pinned_ + "\"}]\n");
}

// As the definitions in `flux install --export` have them: members named like those of an image.
TEST_F(PinImages, SchemasAreNoImages) {
  const std::string schema =
      "kind: CustomResourceDefinition\nspec:\n  properties:\n    artifact:\n      properties:\n"
      "        digest: {type: string}\n        registry: {type: string}\n"
      "        repository: {type: string}\n        tag: {type: string}\n"
      "    images:\n      items: {name: {}, newName: {}, newTag: {}, digest: {}}\n"
      "      properties: {apiVersion: {type: string}, kind: {type: string}}\n";
  EXPECT_EQ(pin(schema), schema);
  const std::string schema_of_sources =
      "apiVersion: source.toolkit.fluxcd.io/v1\nkind: {}\nspec: {url: {}, ref: {digest: {}}}\n";
  EXPECT_EQ(pin(schema_of_sources), schema_of_sources);
}

std::string packed(const oci::TextTree& tree) {
  const Bytes bytes = oci::pack_tar_gz_tree(tree);
  return std::string(as_text(bytes));
}

// A chart with one packed subchart in another, so many times.
oci::TextTree nested_chart(std::size_t layers) {
  oci::TextTree chart{{"a/values.yaml", "image: {repository: cache, tag: 1}\n"}};
  for (std::size_t i = 0; i < layers; ++i) chart = {{"a/charts/a-1.0.0.tgz", packed(chart)}};
  return chart;
}

TEST(Subcharts, AreUnpackedInTheirPlaces) {
  const oci::TextTree chart = flux::unpack_subcharts(nested_chart(2));
  ASSERT_EQ(chart.size(), 1U);
  EXPECT_EQ(chart.begin()->first, "a/charts/a/charts/a/values.yaml");
  EXPECT_EQ(codec::dump_json(flux::chart_default_values(chart)),
            R"({"a":{"a":{"image":{"repository":"cache","tag":1}}}})");
  const oci::TextTree other{{"a/files/data.tgz", "no chart"}, {"a/charts/note.txt", ""}};
  EXPECT_EQ(flux::unpack_subcharts(other), other);
}

TEST(Subcharts, HaveLimits) {
  using testing::expect_error;
  EXPECT_EQ(flux::unpack_subcharts(nested_chart(flux::kMaxSubchartDepth)).size(), 1U);
  expect_error(ErrorCode::limit,
               [] { flux::unpack_subcharts(nested_chart(flux::kMaxSubchartDepth + 1)); });
  oci::TextTree twice = nested_chart(1);
  twice["a/charts/a/values.yaml"] = "{}\n";
  expect_error(ErrorCode::name_collision, [&] { flux::unpack_subcharts(twice); });
  expect_error(ErrorCode::archive_invalid, [] {
    flux::unpack_subcharts({{"a/charts/b.tgz", "not packed"}});
  });
}

}  // namespace
}  // namespace bundle::spec
