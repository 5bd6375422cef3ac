#include "oci/document.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace bundle::oci {
namespace {

using bundle::testing::expect_error;

const std::string kHex(64, 'a');
const std::string kConfigJson = R"({"mediaType":"application/vnd.oci.image.config.v1+json",)"
                                R"("digest":"sha256:)" +
                                kHex + R"(","size":7})";

// A manifest around the given members.
std::string manifest(const std::string& more, const std::string& config = kConfigJson) {
  return R"({"schemaVersion":2,"config":)" + config + "," + more + "}";
}

Manifest parse(const std::string& text, std::string_view type = media_type::kManifest) {
  return parse_manifest(as_bytes(text), type, "test manifest");
}

TEST(Document, ReadsAManifestWithEverything) {
  const Manifest got = parse(manifest(
      R"("mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"a/b","layers":[)" +
      kConfigJson + R"(],"subject":)" + kConfigJson + R"(,"annotations":{"k":"v"},"unknown":[1])"));
  EXPECT_EQ(got.artifact_type, "a/b");
  EXPECT_EQ(got.kind(), "a/b");
  EXPECT_EQ(got.config.size, 7U);
  EXPECT_EQ(got.config.digest.hex(), kHex);
  EXPECT_EQ(got.layers.size(), 1U);
  ASSERT_TRUE(got.subject);
  EXPECT_EQ(got.annotations.at("k"), "v");
}

TEST(Document, ReadsDockerDocumentsAndUnknownTypes) {
  const std::string config =
      R"({"mediaType":"x/unknown","digest":"sha256:)" + kHex + R"(","size":0})";
  EXPECT_EQ(parse(manifest(R"("layers":[])", config), media_type::kDockerManifest).kind(),
            "x/unknown");
  const std::string list =
      R"({"schemaVersion":2,"manifests":[{"mediaType":"q/w","digest":"sha256:)" + kHex +
      R"(","size":1,"platform":{"os":"linux","architecture":"arm64","variant":"v8","os.version":"1"}}]})";
  const Index index = parse_index(as_bytes(list), media_type::kDockerList, "list");
  ASSERT_EQ(index.manifests.size(), 1U);
  EXPECT_EQ(index.manifests[0].platform->text(), "linux/arm64/v8");
}

TEST(Document, RefusesMalformedManifests) {
  const auto layer = [](const std::string& members) {
    return manifest(R"("layers":[{)" + members + "}]");
  };
  const std::string digest = R"("digest":"sha256:)" + kHex + R"(")";
  const std::vector<std::string> bad{
      "[]",
      "{}",
      R"({"schemaVersion":3})",
      R"({"schemaVersion":"2"})",
      R"({"schemaVersion":2,"layers":[]})",
      manifest(R"("annotations":{})"),
      manifest(R"("layers":{})"),
      manifest(R"("layers":[1])"),
      manifest(R"("layers":[],"mediaType":"application/vnd.oci.image.index.v1+json")"),
      manifest(R"("layers":[],"mediaType":"no slash")"),
      manifest(R"("layers":[],"mediaType":5)"),
      manifest(R"("layers":[],"manifests":[])"),
      manifest(R"("layers":[],"annotations":{"k":1})"),
      manifest(R"("layers":[],"annotations":[])"),
      manifest(R"("layers":[],"subject":{})"),
      layer(digest + R"(,"size":1)"),
      layer(R"("mediaType":"","size":1,)" + digest),
      layer(R"("mediaType":"a/b","size":1)"),
      layer(R"("mediaType":"a/b",)" + digest),
      layer(R"("mediaType":"a/b","size":-1,)" + digest),
      layer(R"("mediaType":"a/b","size":1.5,)" + digest),
      layer(R"("mediaType":"a/b","size":"1",)" + digest),
      layer(R"("mediaType":"a/b","size":1,"digest":5)"),
      layer(R"("mediaType":"a/b","size":1,"digest":"sha256:short")"),
      layer(R"("mediaType":"a/b","size":1,"digest":"sha256:)" + std::string(64, 'A') + R"(")"),
      layer(R"("mediaType":"a/b","size":1,"digest":"../../etc/passwd")"),
      layer(R"("mediaType":"a/b","size":1,"platform":5,)" + digest),
      layer(R"("mediaType":"a/b","size":1,"platform":{"os":"linux"},)" + digest),
      layer(R"("mediaType":"a/b","size":1,"platform":{"os":5,"architecture":"a"},)" + digest),
  };
  for (const std::string& text : bad) {
    SCOPED_TRACE(text);
    expect_error(ErrorCode::oci_invalid, [&] { parse(text); });
  }
  expect_error(ErrorCode::oci_invalid,
               [&] { parse(manifest(R"("layers":[])"), media_type::kIndex); });
  expect_error(ErrorCode::oci_invalid, [&] {
    parse_index(as_bytes(manifest(R"("manifests":[])")), media_type::kIndex, "index");
  });
  expect_error(ErrorCode::oci_invalid, [&] {
    parse_index(as_bytes(R"({"schemaVersion":2})"), media_type::kIndex, "index");
  });
}

TEST(Document, SaysWhatItDoesNotSupport) {
  expect_error(ErrorCode::unsupported, [] { parse(R"({"schemaVersion":1,"fsLayers":[]})"); });
  expect_error(ErrorCode::unsupported, [] {
    parse(manifest(R"("layers":[{"mediaType":"a/b","size":1,"digest":"sha512:)" +
                   std::string(128, 'b') + R"("}])"));
  });
}

TEST(Document, HoldsItsLimits) {
  const auto list = [](std::size_t count, const std::string& item) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ",") + item;
    return text;
  };
  EXPECT_EQ(parse(manifest(R"("layers":[)" + list(kMaxLayers, kConfigJson) + "]")).layers.size(),
            kMaxLayers);
  expect_error(ErrorCode::limit,
               [&] { parse(manifest(R"("layers":[)" + list(kMaxLayers + 1, kConfigJson) + "]")); });
  expect_error(ErrorCode::limit,
               [&] { parse(manifest(R"("layers":[])") + std::string(kMaxDocumentBytes, ' ')); });
  expect_error(ErrorCode::limit, [&] {
    parse(manifest(R"("layers":[{"mediaType":"a/b","size":9000000000000000000,"digest":"sha256:)" +
                   kHex + R"("}])"));
  });
}

TEST(Document, TellsTypesFromBytes) {
  const auto sniff = [](const std::string& text) { return sniff_media_type(as_bytes(text), "t"); };
  EXPECT_EQ(sniff(manifest(R"("layers":[])")), media_type::kManifest);
  EXPECT_EQ(sniff(R"({"schemaVersion":2,"manifests":[]})"), media_type::kIndex);
  EXPECT_EQ(
      sniff(
          R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json"})"),
      media_type::kDockerManifest);
  expect_error(ErrorCode::oci_invalid, [&] { sniff(R"({"schemaVersion":2})"); });
  expect_error(ErrorCode::oci_invalid, [&] { sniff(R"({"schemaVersion":2,"mediaType":"a/b"})"); });
}

TEST(Document, ChecksSizeAndDigest) {
  Descriptor descriptor;
  descriptor.digest = sha256(as_bytes("abc"));
  descriptor.size = 3;
  EXPECT_NO_THROW(check_bytes(descriptor, as_bytes("abc"), "t"));
  expect_error(ErrorCode::blob_mismatch, [&] { check_bytes(descriptor, as_bytes("abd"), "t"); });
  descriptor.size = 4;
  expect_error(ErrorCode::blob_mismatch, [&] { check_bytes(descriptor, as_bytes("abc"), "t"); });
}

TEST(Document, WritesManifestsThatItReads) {
  Manifest model;
  model.media_type = media_type::kManifest;
  model.artifact_type = "a/b";
  model.config.media_type = media_type::kEmpty;
  model.layers.resize(2);
  for (Descriptor& layer : model.layers) layer.media_type = "c/d";
  model.layers[1].annotations["k"] = "\"quoted\"";
  const Document document = make_manifest(model);
  const Manifest read = parse_manifest(document);
  EXPECT_EQ(read.layers, model.layers);
  EXPECT_EQ(read.artifact_type, model.artifact_type);
  EXPECT_EQ(make_manifest(read).bytes, document.bytes);
}

TEST(PlatformNames, ParseAndMatch) {
  EXPECT_EQ(Platform::parse("linux/arm64/v8").text(), "linux/arm64/v8");
  for (const char* text :
       {"", "linux", "linux/", "/amd64", "linux/amd64/", "linux/a/b/c", "l x/a"}) {
    expect_error(ErrorCode::usage, [&] { Platform::parse(text); });
  }
  const auto matches = [](const char* have, const char* wanted) {
    return Platform::parse(have).matches(Platform::parse(wanted));
  };
  EXPECT_TRUE(matches("linux/arm/v6", "linux/arm"));
  EXPECT_TRUE(matches("linux/arm64", "linux/arm64/v8"));
  EXPECT_TRUE(matches("linux/amd64", "linux/amd64/v1"));
  EXPECT_FALSE(matches("linux/amd64", "linux/amd64/v3"));
  EXPECT_FALSE(matches("linux/arm/v6", "linux/arm/v7"));
  EXPECT_FALSE(matches("windows/amd64", "linux/amd64"));
}

}  // namespace
}  // namespace bundle::oci
