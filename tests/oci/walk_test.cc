#include "oci/walk.h"

#include <gtest/gtest.h>

#include "oci/layout.h"
#include "oci/layout_builder.h"
#include "support/expect_error.h"

namespace bundle::oci {
namespace {

using namespace bundle::testing;

class WalkTest : public ::testing::Test {
 protected:
  Closure walk_it(const Descriptor& root, const std::vector<std::string>& platforms = {},
                  bool referrers = true) {
    WalkOptions options;
    for (const std::string& text : platforms) options.wanted.push_back(Platform::parse(text));
    options.referrers = referrers;
    const auto source = open_layout(directory_files(posix_file_system(), layout_.root()),
                                    {"", root.digest}, "test");
    return walk(*source, options);
  }
  static std::vector<Digest> digests(const auto& list) {
    std::vector<Digest> result;
    for (const auto& item : list) {
      if constexpr (requires { item.bytes; }) {
        result.push_back(item.descriptor.digest);
      } else {
        result.push_back(item.digest);
      }
    }
    return result;
  }
  // The attestation that BuildKit puts beside an image.
  Descriptor attestation(const Descriptor& image) {
    Descriptor descriptor = layout_.artifact("application/vnd.docker.attestation.manifest.v1+json",
                                             "provenance of " + image.digest.text(), &image);
    descriptor.platform = Platform{"unknown", "unknown", ""};
    descriptor.annotations["vnd.docker.reference.type"] = "attestation-manifest";
    descriptor.annotations["vnd.docker.reference.digest"] = image.digest.text();
    return descriptor;
  }
  LayoutBuilder layout_;
};

TEST_F(WalkTest, ListsAPlainImageOnce) {
  const Descriptor image = layout_.image("amd64", {"base", "top", "base"});
  const Closure closure = walk_it(image, {"linux/amd64"});
  EXPECT_EQ(digests(closure.documents), std::vector{image.digest});
  ASSERT_EQ(closure.blobs.size(), 3U);  // config, base, top
  EXPECT_EQ(closure.blobs[0].media_type, media_type::kConfig);
  EXPECT_EQ(closure.blobs[1].digest, sha256(as_bytes("base")));
  EXPECT_EQ(closure.blobs[2].digest, sha256(as_bytes("top")));
  EXPECT_FALSE(closure.root.descriptor.platform);
}

TEST_F(WalkTest, FollowsChosenPlatformsAndTheirAttestations) {
  const Descriptor amd = layout_.image("amd64", {"shared", "amd"});
  const Descriptor arm = layout_.image("arm64", {"shared", "arm"});
  const Descriptor amd_proof = attestation(amd);
  const Descriptor arm_proof = attestation(arm);
  const Descriptor index = layout_.index({amd, arm, amd_proof, arm_proof});

  EXPECT_EQ(digests(walk_it(index).documents), (std::vector{index.digest, amd.digest, arm.digest,
                                                            amd_proof.digest, arm_proof.digest}));
  const Closure one = walk_it(index, {"linux/arm64"});
  EXPECT_EQ(digests(one.documents), (std::vector{index.digest, arm.digest, arm_proof.digest}));
  EXPECT_EQ(digests(one.skipped), (std::vector{amd.digest, amd_proof.digest}));
  EXPECT_TRUE(one.referrer_roots.empty());
  EXPECT_EQ(one.root.bytes, to_bytes(LayoutBuilder::read(layout_.blob_path(index.digest))));

  const Error error = expect_error(ErrorCode::not_found, [&] {
    walk_it(index, {"linux/amd64", "linux/s390x"});
  });
  EXPECT_NE(error.message().find("linux/s390x"), std::string::npos);
  EXPECT_NE(error.message().find("linux/amd64, linux/arm64"), std::string::npos);
  expect_error(ErrorCode::not_found, [&] { walk_it(amd, {"linux/arm64"}); });
}

TEST_F(WalkTest, ASparseSourceIsEnoughForWhatIsChosen) {
  const Descriptor amd = layout_.image("amd64", {"amd"});
  const Descriptor arm = layout_.image("arm64", {"arm"});
  const Descriptor proof = attestation(amd);
  const Descriptor index = layout_.index({amd, arm, proof});
  layout_.remove(arm);
  layout_.remove(proof);
  const Closure closure = walk_it(index, {"linux/amd64"});
  EXPECT_EQ(digests(closure.documents), (std::vector{index.digest, amd.digest}));
  EXPECT_EQ(digests(closure.skipped), (std::vector{arm.digest, proof.digest}));
  const Error error = expect_error(ErrorCode::not_found, [&] { walk_it(index); });
  EXPECT_NE(error.message().find("linux/arm64"), std::string::npos);
}

TEST_F(WalkTest, ReadsThePlatformFromTheConfigWhenTheIndexHasNone) {
  Descriptor amd = layout_.image("amd64", {"amd"});
  Descriptor arm = layout_.image("arm64", {"arm"});
  amd.platform.reset();
  arm.platform.reset();
  const Descriptor artifact = layout_.artifact("application/x-note", "runs nowhere");
  const Descriptor index = layout_.index({amd, arm, artifact});
  const Closure closure = walk_it(index, {"linux/arm64"});
  EXPECT_EQ(digests(closure.documents), (std::vector{index.digest, arm.digest, artifact.digest}));
  EXPECT_NO_THROW(walk_it(artifact, {"linux/arm64"}));
}

TEST_F(WalkTest, NestedIndexesHaveALimit) {
  Descriptor inner = layout_.image("amd64", {"deep"});
  const Descriptor image = inner;
  for (std::size_t i = 0; i < kMaxIndexDepth; ++i) {
    inner = layout_.index({inner});
  }
  const Closure closure = walk_it(inner, {"linux/amd64"});
  EXPECT_EQ(closure.documents.size(), kMaxIndexDepth + 1);
  EXPECT_EQ(closure.documents.back().descriptor.digest, image.digest);
  const Descriptor too_deep = layout_.index({inner});
  expect_error(ErrorCode::limit, [&] { walk_it(too_deep); });
}

TEST_F(WalkTest, CarriesSignaturesOfRootAndChosenChildren) {
  const Descriptor amd = layout_.image("amd64", {"amd"});
  const Descriptor arm = layout_.image("arm64", {"arm"});
  const Descriptor index = layout_.index({amd, arm});
  const Descriptor root_sbom = layout_.artifact("application/x-sbom", "of root", &index);
  const Descriptor sbom_signature = layout_.artifact("application/x-sig", "of sbom", &root_sbom);
  const Descriptor amd_signature = layout_.artifact("application/x-sig", "of amd");
  const Descriptor arm_sbom = layout_.artifact("application/x-sbom", "of arm", &arm);
  for (const Descriptor& listed : {index, root_sbom, sbom_signature, arm_sbom}) {
    layout_.tag(listed, "");
  }
  const std::string tag = "sha256-" + amd.digest.hex() + ".sig";
  layout_.tag(amd_signature, tag);

  const Closure closure = walk_it(index, {"linux/amd64"});
  EXPECT_EQ(digests(closure.documents), (std::vector{index.digest, amd.digest, root_sbom.digest,
                                                     amd_signature.digest, sbom_signature.digest}));
  ASSERT_EQ(closure.referrer_roots.size(), 3U);
  EXPECT_EQ(closure.referrer_roots[0].subject, index.digest);
  EXPECT_EQ(closure.referrer_roots[0].descriptor.artifact_type, "application/x-sbom");
  EXPECT_EQ(closure.referrer_roots[1].subject, amd.digest);
  EXPECT_EQ(closure.referrer_roots[1].tag, tag);
  EXPECT_TRUE(closure.referrer_roots[1].descriptor.annotations.empty());
  EXPECT_EQ(closure.referrer_roots[2].subject, root_sbom.digest);
  EXPECT_TRUE(walk_it(index, {"linux/amd64"}, false).referrer_roots.empty());

  layout_.remove(amd_signature);
  expect_error(ErrorCode::not_found, [&] { walk_it(index, {"linux/amd64"}); });
}

TEST_F(WalkTest, StopsAfterSomeLevelsOfReferrers) {
  const Descriptor image = layout_.image("amd64", {"x"});
  Descriptor subject = image;
  for (std::size_t i = 0; i < kMaxReferrerDepth + 2; ++i) {
    subject = layout_.artifact("application/x-note", "note " + std::to_string(i), &subject);
    layout_.tag(subject, "");
  }
  EXPECT_EQ(walk_it(image).documents.size(), 1 + kMaxReferrerDepth);
}

TEST_F(WalkTest, ToleratesAbsentNonDistributableLayers) {
  const Descriptor config = layout_.blob("{}", "application/x-config");
  const Descriptor plain = layout_.blob("plain", media_type::kLayerTar);
  const Descriptor foreign =
      layout_.blob("foreign", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
  const Descriptor held =
      layout_.blob("held", "application/vnd.oci.image.layer.nondistributable.v1.tar");
  const Descriptor image = layout_.manifest(config, {plain, foreign, held});
  layout_.remove(foreign);
  const Closure closure = walk_it(image);
  EXPECT_EQ(digests(closure.blobs), (std::vector{config.digest, plain.digest, held.digest}));
  EXPECT_EQ(digests(closure.absent), std::vector{foreign.digest});
}

TEST_F(WalkTest, RefusesContradictions) {
  const Descriptor config = layout_.blob("{}", "application/x-config");
  Descriptor longer = layout_.blob("layer", media_type::kLayerTar);
  const Descriptor right = longer;
  longer.size = 6;
  const Descriptor two_sizes = layout_.manifest(config, {right, longer});
  expect_error(ErrorCode::oci_invalid, [&] { walk_it(two_sizes); });

  Descriptor child = layout_.image("amd64", {"x"});
  child.size += 1;
  const Descriptor wrong_size = layout_.index({child});
  expect_error(ErrorCode::blob_mismatch, [&] { walk_it(wrong_size); });

  Descriptor renamed = layout_.image("amd64", {"x"});
  renamed.media_type = media_type::kDockerManifest;
  const Descriptor wrong_type = layout_.index({renamed});
  expect_error(ErrorCode::oci_invalid, [&] { walk_it(wrong_type); });
}

TEST_F(WalkTest, TakesEntriesOfUnknownTypeAsBlobs) {
  const Descriptor data = layout_.blob("data", "application/x-data");
  const Closure closure = walk_it(layout_.index({data}));
  EXPECT_EQ(digests(closure.blobs), std::vector{data.digest});
}

TEST_F(WalkTest, AManifestUsedAsLayerIsCarriedOnceAsDocument) {
  const Descriptor image = layout_.image("amd64", {"x"});
  Descriptor as_layer = image;
  as_layer.platform.reset();
  const Descriptor wrapper = layout_.manifest(layout_.blob("{}", "a/b"), {as_layer});
  const Closure closure = walk_it(layout_.index({wrapper, image}));
  EXPECT_EQ(std::ranges::count(digests(closure.blobs), image.digest), 0);
  EXPECT_EQ(std::ranges::count(digests(closure.documents), image.digest), 1);
}

}  // namespace
}  // namespace bundle::oci
