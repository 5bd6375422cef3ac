#include "spec/resolve.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "bundle/error.h"
#include "oci/layout.h"
#include "release/release_samples.h"
#include "spec/layout_maker.h"

namespace bundle::spec {
namespace {

constexpr UnixTime kCreated = 1'795'446'000;

// A folder with everything that a release needs: two images that share a layer, one of them for
// two platforms and signed, a chart and three files.
class ReleaseFolder {
 public:
  ReleaseFolder() {
    LayoutMaker images(scratch_, "images");
    const auto amd64 = images.image("amd64", {"shared layer", "server for amd64"});
    const auto arm64 = images.image("arm64", {"server for arm64"});
    server_ = images.index({amd64, arm64});
    images.tag(server_, "app/server:1.4.0");
    images.signature(server_, "signature of the server");
    redis_ = images.image("amd64", {"shared layer", "redis"});
    images.tag(redis_, "redis:7.2");
    images.tag(images.image("amd64", {"another redis"}), "redis:other");
    scratch_.write("helm/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.4.0+build.7\n");
    scratch_.write("helm/templates/web.yaml", "kind: ConfigMap\n");
    scratch_.write("k3s/k3s", "k3s binary");
    scratch_.write("k3s/install.sh", "#!/bin/sh\n");
    scratch_.write("os/disk.img", "disk image");
  }

  std::string yaml() const {
    return R"(apiVersion: bundle/v1
kind: Release
releaseVersion: 1.4.0
product: example-appliance
upgradeFrom: ["1.3.x"]
os: {base: ubuntu-24.04, artifacts: [{name: disk.img, path: os/disk.img}]}
k8s: {distribution: k3s, version: v1.31.6+k3s1, artifacts: [{name: k3s, path: k3s/k3s, mode: "0755"}]}
app: {chartPath: helm/, valuesProfile: single-node}
images:
- {name: "registry.example.com/app/server:1.4.0", source: "oci:images:app/server:1.4.0"}
- {name: "docker.io/library/redis:7.2", source: "oci:images:redis:7.2"}
files: [{name: install.sh, path: k3s/install.sh, mode: "0755"}]
)";
  }

  ReleaseSpec spec(const std::string& text) const {
    return load_spec(posix_file_system(), scratch_.write("release.yaml", text));
  }
  ReleaseSpec spec() const { return spec(yaml()); }

  static ResolvedRelease resolve(const ReleaseSpec& spec) {
    ResolveOptions options;
    options.created = kCreated;
    options.open_source = [folder = spec.folder()](const std::string& reference) {
      return oci::open_local_source(posix_file_system(), reference, folder);
    };
    return spec::resolve(posix_file_system(), spec, options);
  }

  const release::ScratchFolder& scratch() const { return scratch_; }
  const LayoutMaker::Entry& server() const { return server_; }
  const LayoutMaker::Entry& redis() const { return redis_; }

 private:
  release::ScratchFolder scratch_;
  LayoutMaker::Entry server_;
  LayoutMaker::Entry redis_;
};

std::string content_of(const BlobInput& blob) {
  const auto source = blob.open();
  const Bytes bytes = read_all(*source, 1 << 20, blob.origin);
  return std::string(as_text(bytes));
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expect_error(const ReleaseSpec& spec, ErrorCode code, std::string_view fragment) {
  try {
    ReleaseFolder::resolve(spec);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error_name(error.code()), error_name(code)) << error.message();
    EXPECT_NE(error.message().find(fragment), std::string::npos) << error.message();
    EXPECT_FALSE(error.hint().empty()) << error.message();
  }
}

TEST(Resolve, PinsEveryImageByDigest) {
  const ReleaseFolder folder;
  const release::Manifest manifest = ReleaseFolder::resolve(folder.spec()).manifest;
  ASSERT_EQ(manifest.images.size(), 2U);
  const release::Artifact& server = manifest.images[0];
  EXPECT_EQ(server.name, "registry.example.com/app/server:1.4.0");
  EXPECT_EQ(server.registry, "registry.example.com");
  EXPECT_EQ(server.repository, "app/server");
  EXPECT_EQ(server.tag, "1.4.0");
  EXPECT_EQ(server.descriptor.digest, folder.server().digest);
  EXPECT_EQ(server.descriptor.media_type, oci::media_type::kIndex);
  EXPECT_EQ(server.descriptor.size, folder.server().size);
  ASSERT_EQ(server.platforms.size(), 1U);
  EXPECT_EQ(server.platforms[0].text(), "linux/amd64");
  EXPECT_EQ(manifest.images[1].descriptor.digest, folder.redis().digest);
  EXPECT_EQ(manifest.images[1].platforms.at(0).text(), "linux/amd64");
}

TEST(Resolve, CarriesSignatures) {
  const ReleaseFolder folder;
  const ResolvedRelease release = ReleaseFolder::resolve(folder.spec());
  const auto& referrers = release.manifest.images[0].referrers;
  ASSERT_EQ(referrers.size(), 1U);
  EXPECT_EQ(referrers[0].subject, folder.server().digest);
  EXPECT_EQ(referrers[0].tag, "sha256-" + folder.server().digest.hex() + ".sig");
  EXPECT_TRUE(release.manifest.images[1].referrers.empty());
  const bool has_payload = std::ranges::any_of(release.blobs, [](const BlobInput& blob) {
    return content_of(blob) == "signature of the server";
  });
  EXPECT_TRUE(has_payload);
}

TEST(Resolve, NamesChartAndFilesByTheDocumentedRules) {
  const ReleaseFolder folder;
  const release::Manifest manifest = ReleaseFolder::resolve(folder.spec()).manifest;
  EXPECT_EQ(manifest.chart.name, "app");
  EXPECT_EQ(manifest.chart.version, "1.4.0+build.7");
  EXPECT_EQ(manifest.chart.artifact.name, "example-appliance/charts/app:1.4.0_build.7");
  ASSERT_NE(manifest.find_file("k3s"), nullptr);
  const release::FileArtifact& k3s = *manifest.find_file("k3s");
  EXPECT_EQ(k3s.artifact.name, "example-appliance/files/k3s:1.4.0");
  EXPECT_EQ(k3s.artifact.repository, "example-appliance/files/k3s");
  EXPECT_FALSE(k3s.artifact.descriptor.artifact_type.empty());
  EXPECT_EQ(k3s.mode, 0755U);
  EXPECT_EQ(k3s.size, 10U);
  EXPECT_EQ(k3s.content, release::digest_of("k3s binary"));
  EXPECT_EQ(manifest.find_file("disk.img")->mode, 0644U);
}

TEST(Resolve, WritesAManifestThatTheStrictReaderAccepts) {
  const ReleaseFolder folder;
  const std::string text = release::write_manifest(ReleaseFolder::resolve(folder.spec()).manifest);
  EXPECT_EQ(release::write_manifest(release::parse_manifest(text, "manifest.json")), text);
}

TEST(Resolve, ListsEachBlobOnceWithItsExactBytes) {
  const ReleaseFolder folder;
  const ResolvedRelease release = ReleaseFolder::resolve(folder.spec());
  std::set<Digest> seen;
  for (const BlobInput& blob : release.blobs) {
    EXPECT_TRUE(seen.insert(blob.digest).second) << blob.digest.text();
    const std::string content = content_of(blob);
    EXPECT_EQ(content.size(), blob.size);
    EXPECT_EQ(release::digest_of(content), blob.digest);
    EXPECT_EQ(content_of(blob), content) << "a second stream differs";
    EXPECT_FALSE(blob.origin.empty());
    EXPECT_FALSE(blob.media_type.empty());
  }
  for (const release::Artifact* artifact : release.manifest.artifacts()) {
    EXPECT_TRUE(seen.contains(artifact->descriptor.digest)) << artifact->name;
  }
  // One platform only: the other's layer stays behind, the index is kept as it is.
  EXPECT_TRUE(seen.contains(release::digest_of("server for amd64")));
  EXPECT_FALSE(seen.contains(release::digest_of("server for arm64")));
}

TEST(Resolve, OrdersDocumentsThenConfigsThenLayersThenFiles) {
  const ReleaseFolder folder;
  const ResolvedRelease release = ReleaseFolder::resolve(folder.spec());
  std::map<Digest, std::size_t> place;
  std::size_t documents = 0;
  for (std::size_t i = 0; i < release.blobs.size(); ++i) {
    place[release.blobs[i].digest] = i;
    const std::string& type = release.blobs[i].media_type;
    if (oci::is_index_type(type) || oci::is_manifest_type(type)) ++documents;
  }
  for (std::size_t i = 0; i < documents; ++i) {
    const std::string& type = release.blobs[i].media_type;
    EXPECT_TRUE(oci::is_index_type(type) || oci::is_manifest_type(type)) << i;
  }
  EXPECT_EQ(place.at(folder.server().digest), 0U);
  const auto layer = [&](std::string_view text) { return place.at(release::digest_of(text)); };
  EXPECT_LT(place.at(release::digest_of(R"({"architecture":"amd64","os":"linux"})")),
            layer("shared layer"));
  EXPECT_LT(layer("shared layer"), layer("server for amd64"));
  EXPECT_LT(layer("server for amd64"), layer("redis"));
  EXPECT_LT(layer("redis"), layer("disk image"));
  EXPECT_LT(layer("disk image"), layer("k3s binary"));
  EXPECT_EQ(layer("#!/bin/sh\n"), release.blobs.size() - 1);
}

TEST(Resolve, GivesTheSameResultInAnotherFolder) {
  const ReleaseFolder one;
  const ReleaseFolder other;
  const ResolvedRelease first = ReleaseFolder::resolve(one.spec());
  const ResolvedRelease second = ReleaseFolder::resolve(other.spec());
  EXPECT_EQ(release::write_manifest(first.manifest), release::write_manifest(second.manifest));
  ASSERT_EQ(first.blobs.size(), second.blobs.size());
  for (std::size_t i = 0; i < first.blobs.size(); ++i) {
    EXPECT_EQ(first.blobs[i].digest, second.blobs[i].digest) << i;
    EXPECT_EQ(first.blobs[i].origin, second.blobs[i].origin) << i;
  }
}

// The time of the build is in the manifest only: what did not change keeps its digest.
TEST(Resolve, KeepsDigestsOfUnchangedPartsFromReleaseToRelease) {
  const ReleaseFolder folder;
  const ReleaseSpec spec = folder.spec(replaced(folder.yaml(), "1.4.0\n", "1.5.0\n"));
  const release::Manifest before = ReleaseFolder::resolve(folder.spec()).manifest;
  const release::Manifest after = ReleaseFolder::resolve(spec).manifest;
  EXPECT_EQ(before.chart.artifact.descriptor.digest, after.chart.artifact.descriptor.digest);
  EXPECT_EQ(before.files[0].artifact.descriptor.digest, after.files[0].artifact.descriptor.digest);
  EXPECT_NE(before.files[0].artifact.name, after.files[0].artifact.name);
}

TEST(Resolve, CarriesEveryPlatformThatIsAskedFor) {
  const ReleaseFolder folder;
  const std::string both =
      replaced(folder.yaml(), "\"oci:images:app/server:1.4.0\"",
               "\"oci:images:app/server:1.4.0\", platforms: [linux/amd64, linux/arm64]");
  const ResolvedRelease release = ReleaseFolder::resolve(folder.spec(both));
  EXPECT_EQ(release.manifest.images[0].platforms.size(), 2U);
  const bool has_arm = std::ranges::any_of(release.blobs, [](const BlobInput& blob) {
    return blob.digest == release::digest_of("server for arm64");
  });
  EXPECT_TRUE(has_arm);
}

TEST(Resolve, RefusesAPlatformThatAnImageDoesNotHave) {
  const ReleaseFolder folder;
  expect_error(folder.spec(folder.yaml() + "platforms: [linux/s390x]\n"), ErrorCode::not_found,
               "linux/s390x");
  // redis is a single image for amd64.
  expect_error(folder.spec(folder.yaml() + "platforms: [linux/amd64, linux/arm64]\n"),
               ErrorCode::not_found, "linux/arm64");
}

TEST(Resolve, ChecksADigestInTheName) {
  const ReleaseFolder folder;
  const std::string right =
      replaced(folder.yaml(), "redis:7.2\",", "redis:7.2@" + folder.redis().digest.text() + "\",");
  EXPECT_EQ(ReleaseFolder::resolve(folder.spec(right)).manifest.images[1].tag, "7.2");
  const std::string wrong =
      replaced(folder.yaml(), "redis:7.2\",", "redis@" + folder.server().digest.text() + "\",");
  expect_error(folder.spec(wrong), ErrorCode::spec_invalid, folder.redis().digest.text());
}

TEST(Resolve, RefusesOneTagForTwoDigests) {
  const ReleaseFolder folder;
  // Different names for the specification, one tag in the registry.
  const std::string text = replaced(folder.yaml(), "files:",
                                    "- {name: \"docker.io/library/redis:7.2@DIGEST\", source: "
                                    "\"oci:images:redis:other\"}\nfiles:");
  ReleaseSpec spec = folder.spec(replaced(text, "@DIGEST", "@sha256:" + std::string(64, 'a')));
  LayoutMaker maker(folder.scratch(), "elsewhere");
  const auto other = maker.image("amd64", {"another redis"});
  spec.images[2].name = "docker.io/library/redis:7.2@" + other.digest.text();
  expect_error(spec, ErrorCode::name_collision,
               "docker.io/library/redis:7.2 would name two things");
}

TEST(Resolve, SetsTheExpiry) {
  const ReleaseFolder folder;
  EXPECT_EQ(ReleaseFolder::resolve(folder.spec()).expires, kCreated + 365 * 86'400);
  const auto with = [&](const std::string& line) { return folder.spec(folder.yaml() + line); };
  EXPECT_EQ(ReleaseFolder::resolve(with("expiresDays: 10\n")).expires, kCreated + 10 * 86'400);
  EXPECT_EQ(format_time(ReleaseFolder::resolve(with("expires: 2030-01-01T00:00:00Z\n")).expires),
            "2030-01-01T00:00:00Z");
  expect_error(with("expires: 2020-01-01T00:00:00Z\n"), ErrorCode::spec_invalid, "2020-01-01");
}

TEST(Resolve, RefusesWhatIsNotThere) {
  const ReleaseFolder folder;
  expect_error(folder.spec(replaced(folder.yaml(), "oci:images:redis:7.2", "oci:images:redis:8")),
               ErrorCode::not_found, "redis:8");
  const ReleaseSpec spec = folder.spec();
  std::filesystem::remove(folder.scratch().path() / "k3s/k3s");
  expect_error(spec, ErrorCode::not_found, "k3s");
}

TEST(Resolve, RefusesAFolderThatIsNoChart) {
  const ReleaseFolder folder;
  expect_error(folder.spec(replaced(folder.yaml(), "helm/", "os/")), ErrorCode::spec_invalid,
               "Chart.yaml");
}

TEST(Resolve, RefusesADamagedLayout) {
  const ReleaseFolder folder;
  folder.scratch().write("images/blobs/sha256/" + folder.redis().digest.hex(), "{}");
  expect_error(folder.spec(), ErrorCode::blob_mismatch, folder.redis().digest.text());
}

// A file that changes after it was read is noticed when it is streamed.
TEST(Resolve, NoticesAFileThatChangesAfterwards) {
  const ReleaseFolder folder;
  const ResolvedRelease release = ReleaseFolder::resolve(folder.spec());
  folder.scratch().write("k3s/k3s", "k3s bimary");
  const auto k3s =
      std::ranges::find(release.blobs, release::digest_of("k3s binary"), &BlobInput::digest);
  ASSERT_NE(k3s, release.blobs.end());
  EXPECT_THROW(content_of(*k3s), Error);
}

TEST(Resolve, WorksWithoutImagesAndFiles) {
  const release::ScratchFolder scratch;
  scratch.write("helm/Chart.yaml", "apiVersion: v2\nname: app\nversion: 0.1.0\n");
  const Path file = scratch.write("release.yaml", R"(apiVersion: bundle/v1
kind: Release
releaseVersion: 0.1.0
product: p
os: {base: ubuntu-24.04}
k8s: {distribution: k3s, version: v1.31.6+k3s1}
app: {chartPath: helm, valuesProfile: single-node}
images: []
)");
  const ResolvedRelease release = ReleaseFolder::resolve(load_spec(posix_file_system(), file));
  // The chart: manifest, config, layer; and the index of all artifacts.
  EXPECT_EQ(release.blobs.size(), 4U);
  EXPECT_NO_THROW(
      release::parse_manifest(release::write_manifest(release.manifest), "manifest.json"));
}

}  // namespace
}  // namespace bundle::spec
