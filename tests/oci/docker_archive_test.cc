#include "oci/docker_archive.h"

#include <gtest/gtest.h>

#include "codec/gzip_writer.h"
#include "oci/layout.h"
#include "oci/layout_builder.h"
#include "support/expect_error.h"

namespace bundle::oci {
namespace {

using namespace bundle::testing;

std::string gzip(const std::string& text) {
  MemorySink sink(1 << 20);
  codec::GzipWriter writer(sink);
  writer.write(as_bytes(text));
  writer.finish();
  return std::string(as_text(sink.bytes()));
}

std::string config_of(const std::vector<std::string>& layers) {
  Json ids = Json::array();
  for (const std::string& layer : layers) ids.push_back(sha256(as_bytes(layer)).text());
  Json rootfs = Json::object();
  rootfs.set("type", "layers");
  rootfs.set("diff_ids", std::move(ids));
  Json config = Json::object();
  config.set("architecture", "amd64");
  config.set("os", "linux");
  config.set("rootfs", std::move(rootfs));
  return dump_json(config);
}

std::string config_name(const std::string& config) {
  return sha256(as_bytes(config)).hex() + ".json";
}

std::string saved(const std::string& config, const std::string& tags, const std::string& layers) {
  return R"({"Config":")" + config + R"(","RepoTags":[)" + tags + R"(],"Layers":[)" + layers + "]}";
}

class DockerArchiveTest : public ::testing::Test {
 protected:
  std::shared_ptr<ContentSource> open(const std::string& members, const std::string& image = "") {
    layout_.directory.write("a.tar", members + end_blocks());
    return open_local_source(posix_file_system(),
                             "docker-archive:a.tar" + (image.empty() ? "" : ":" + image),
                             layout_.directory.path());
  }
  LayoutBuilder layout_;
  const std::string config_ = config_of({"base layer", "top layer"});
};

TEST_F(DockerArchiveTest, MakesAManifestForOldArchives) {
  const std::string members =
      file(config_name(config_), config_) + file("1/layer.tar", "base layer") +
      header({.name = "2/layer.tar", .type = '2', .link_target = "../3.tar"}) +
      file("3.tar", "top layer") +
      file("manifest.json", "[" +
                                saved(config_name(config_), R"("app/web:1.0","web:latest")",
                                      R"("1/layer.tar","2/layer.tar")") +
                                "]");
  const auto source = open(members);
  const Document root = source->root();
  const Manifest manifest = parse_manifest(root);
  EXPECT_EQ(content_of(*source, manifest.config), config_);
  ASSERT_EQ(manifest.layers.size(), 2U);
  EXPECT_EQ(manifest.layers[0].media_type, media_type::kLayerTar);
  EXPECT_EQ(content_of(*source, manifest.layers[0]), "base layer");
  EXPECT_EQ(content_of(*source, manifest.layers[1]), "top layer");
  for (const char* name : {"app/web:1.0", "docker.io/app/web:1.0", "web"}) {
    EXPECT_EQ(open(members, name)->root().bytes, root.bytes) << name;
  }
  const Error error = expect_error(ErrorCode::not_found, [&] { open(members, "app/web:2.0"); });
  EXPECT_NE(error.message().find("app/web:1.0"), std::string::npos);
}

TEST_F(DockerArchiveTest, KeepsGzipLayersAsTheyAre) {
  const std::string packed = gzip("base layer");
  const auto source = open(file("c.json", config_) + file("1", packed) + file("2", "top layer") +
                           file("manifest.json", "[" + saved("c.json", "", R"("1","2")") + "]"));
  const Manifest manifest = parse_manifest(source->root());
  EXPECT_EQ(manifest.layers[0].media_type, media_type::kLayerTarGzip);
  EXPECT_EQ(content_of(*source, manifest.layers[0]), packed);
}

TEST_F(DockerArchiveTest, UsesAnOciLayoutExactly) {
  const Descriptor one = layout_.image("amd64", {"1"});
  const Descriptor two = layout_.image("amd64", {"2"});
  layout_.tag(one, "docker.io/library/redis:7.2", "io.containerd.image.name");
  layout_.tag(two, "registry.example.com/app/web:1", "io.containerd.image.name");
  layout_.directory.write("layout/manifest.json", "[]");
  const auto open_layout_tar = [&](const std::string& image) {
    return open_docker_archive(posix_file_system(), layout_.archive(), image, "test");
  };
  EXPECT_EQ(open_layout_tar("redis:7.2")->root().descriptor.digest, one.digest);
  EXPECT_EQ(open_layout_tar("registry.example.com/app/web:1")->root().descriptor.digest,
            two.digest);
  expect_error(ErrorCode::usage, [&] { open_layout_tar(""); });
  expect_error(ErrorCode::not_found, [&] { open_layout_tar("redis:8"); });
}

TEST_F(DockerArchiveTest, NoticesDamage) {
  const auto with = [&](const std::string& base) {
    return file("c.json", config_) + file("1", base) + file("2", "top layer") +
           file("manifest.json", "[" + saved("c.json", "", R"("1","2")") + "]");
  };
  const auto source = open(with("Base layer"));
  const Manifest manifest = parse_manifest(source->root());
  expect_error(ErrorCode::blob_mismatch, [&] { content_of(*source, manifest.layers[0]); });
  EXPECT_EQ(content_of(*source, manifest.layers[1]), "top layer");
  expect_error(ErrorCode::not_found, [&] { source->open_blob(named(sha256(as_bytes("none")))); });
}

TEST_F(DockerArchiveTest, RefusesMalformedArchives) {
  const std::string parts =
      file("c.json", config_) + file("1", "base layer") + file("2", "top layer");
  const auto refused = [&](ErrorCode code, const std::string& manifest) {
    SCOPED_TRACE(manifest);
    expect_error(code, [&] { open(parts + file("manifest.json", manifest)); });
  };
  expect_error(ErrorCode::oci_invalid, [&] { open(parts); });
  refused(ErrorCode::oci_invalid, "{}");
  refused(ErrorCode::oci_invalid, "[{}]");
  refused(ErrorCode::oci_invalid, R"([{"Config":5}])");
  refused(ErrorCode::oci_invalid, R"([{"Config":"c.json","Layers":{}}])");
  refused(ErrorCode::oci_invalid, R"([{"Config":"c.json","Layers":[1,2]}])");
  refused(ErrorCode::oci_invalid, "[" + saved("missing", "", R"("1","2")") + "]");
  refused(ErrorCode::oci_invalid, "[" + saved("c.json", "", R"("1")") + "]");
  refused(ErrorCode::oci_invalid, "[" + saved("c.json", "", R"("1","3")") + "]");
  refused(ErrorCode::oci_invalid, "[" + saved("c.json", "", R"("1","../../etc/passwd")") + "]");
  refused(ErrorCode::not_found, "[]");
  refused(ErrorCode::usage,
          "[" + saved("c.json", "", R"("1","2")") + "," + saved("1", "", R"("1","2")") + "]");
  expect_error(ErrorCode::blob_mismatch, [&] {
    open(
        file(std::string(64, 'a') + ".json", config_) + parts +
        file("manifest.json", "[" + saved(std::string(64, 'a') + ".json", "", R"("1","2")") + "]"));
  });
  expect_error(ErrorCode::oci_invalid, [&] {
    open(file("d.json", "{}") + parts + file("manifest.json", "[" + saved("d.json", "", "") + "]"));
  });
}

TEST_F(DockerArchiveTest, OneNameForTwoImagesIsAnError) {
  const std::string other = config_of({"top layer"});
  const std::string members =
      file("c.json", config_) + file("d.json", other) + file("1", "base layer") +
      file("2", "top layer") +
      file("manifest.json", "[" + saved("c.json", R"("a:1")", R"("1","2")") + "," +
                                saved("d.json", R"("a:1","BAD NAME","b:1")", R"("2")") + "]");
  expect_error(ErrorCode::name_collision, [&] { open(members, "a:1"); });
  EXPECT_EQ(parse_manifest(open(members, "b:1")->root()).layers.size(), 1U);
}

}  // namespace
}  // namespace bundle::oci
