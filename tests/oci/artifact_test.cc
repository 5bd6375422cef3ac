#include "oci/artifact.h"

#include <gtest/gtest.h>

#include "oci/helm_chart.h"
#include "oci/layout_builder.h"
#include "oci/walk.h"
#include "support/expect_error.h"

namespace bundle::oci {
namespace {

using namespace bundle::testing;

constexpr UnixTime kTime = 1'700'000'000;

int run(const std::string& command) {
  return std::system(command.c_str());
}

class FileArtifactTest : public ::testing::Test {
 protected:
  Artifact pack(const FileSpec& spec) { return pack_file(posix_file_system(), spec); }
  TempDirectory directory_;
};

TEST_F(FileArtifactTest, PacksAFile) {
  FileSpec spec;
  spec.path = directory_.write("k3s.bin", "binary");
  spec.name = "k3s";
  spec.mode = 0755;
  spec.annotations["dev.bundle.role"] = "k3s";
  const Artifact artifact = pack(spec);
  const Manifest manifest = parse_manifest(artifact.manifest);
  EXPECT_EQ(manifest.artifact_type, kFileArtifactType);
  EXPECT_EQ(manifest.config.digest.text(),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
  ASSERT_EQ(manifest.layers.size(), 1U);
  EXPECT_EQ(manifest.layers[0].annotations.at("org.opencontainers.image.title"), "k3s");
  EXPECT_EQ(manifest.layers[0].annotations.at("dev.bundle.file.mode"), "0755");
  EXPECT_EQ(manifest.annotations.at("dev.bundle.role"), "k3s");
  EXPECT_FALSE(manifest.annotations.contains(std::string(annotation::kCreated)));

  // Nothing of this machine is in it: another path and time of the file change no byte.
  spec.path = directory_.write("elsewhere/x", "binary");
  EXPECT_EQ(pack(spec).manifest.bytes, artifact.manifest.bytes);
  spec.created = kTime;
  EXPECT_EQ(parse_manifest(pack(spec).manifest).annotations.at("org.opencontainers.image.created"),
            "2023-11-14T22:13:20Z");

  const auto source = artifact_source(posix_file_system(), artifact, "file k3s");
  const Closure closure = walk(*source, {{Platform::parse("linux/amd64")}, true});
  ASSERT_EQ(closure.blobs.size(), 2U);
  EXPECT_EQ(content_of(*source, closure.blobs[0]), "{}");
  EXPECT_EQ(content_of(*source, closure.blobs[1]), "binary");
  directory_.write("k3s.bin", "Binary");
  expect_error(ErrorCode::blob_mismatch, [&] { content_of(*source, closure.blobs[1]); });
  expect_error(ErrorCode::not_found, [&] { source->open_blob(artifact.manifest.descriptor); });
  EXPECT_FALSE(source->document(closure.blobs[0]));
}

TEST_F(FileArtifactTest, RefusesBadSpecs) {
  FileSpec good;
  good.path = directory_.write("f", "x");
  good.name = "f";
  EXPECT_NO_THROW(pack(good));
  for (const char* name : {"", "/f", "../f", "a//b", "a/./b", "a\nb", "a\\b"}) {
    FileSpec spec = good;
    spec.name = name;
    expect_error(ErrorCode::usage, [&] { pack(spec); });
  }
  FileSpec spec = good;
  spec.mode = 04755;
  expect_error(ErrorCode::usage, [&] { pack(spec); });
  spec = good;
  spec.media_type = "text";
  expect_error(ErrorCode::usage, [&] { pack(spec); });
  spec = good;
  spec.path = directory_ / "missing";
  expect_error(ErrorCode::not_found, [&] { pack(spec); });
}

class HelmChartTest : public ::testing::Test {
 protected:
  HelmChartTest() {
    write("Chart.yaml", kChart);
    write("values.yaml", "replicas: 1\n");
    write("templates/deployment.yaml", "kind: Deployment\n");
    write("templates/.hidden", "ignored by default");
    write("charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 0.1.0\n");
  }
  void write(const std::string& name, const std::string& text) {
    directory_.write("chart/" + name, text);
  }
  ChartArtifact pack(const std::string& name = "chart", UnixTime created = kTime) {
    return pack_helm_chart(posix_file_system(), directory_ / name, created);
  }
  // Names in the packed chart, as GNU tar lists them.
  std::vector<std::string> packed_names(const ChartArtifact& chart) {
    directory_.write("out.tgz", std::string(as_text(chart.artifact.blobs[1].bytes)));
    const std::string list = (directory_ / "list").string();
    EXPECT_EQ(run("tar -tzf " + (directory_ / "out.tgz").string() + " > " + list), 0);
    std::vector<std::string> names;
    std::ifstream in(list);
    for (std::string line; std::getline(in, line);) names.push_back(line);
    return names;
  }

  static constexpr const char* kChart =
      "apiVersion: v2\nname: app\nversion: 1.4.0-rc.1+build.5\nappVersion: 17\n"
      "description: An app\nhome: https://example.com\nsources: [https://example.com/src]\n"
      "maintainers: [{name: Ann, email: ann@example.com}, {name: Bob}]\n"
      "annotations: {example.com/note: 5, org.opencontainers.image.title: other}\n"
      "dependencies: [{name: sub, version: 0.1.0}]\n";
  TempDirectory directory_;
};

TEST_F(HelmChartTest, PacksADirectoryReproducibly) {
  const ChartArtifact chart = pack();
  EXPECT_EQ(chart.name, "app");
  EXPECT_EQ(chart.version, "1.4.0-rc.1+build.5");
  EXPECT_EQ(chart.tag, "1.4.0-rc.1_build.5");
  EXPECT_EQ(packed_names(chart),
            (std::vector<std::string>{"app/Chart.yaml", "app/charts/sub/Chart.yaml",
                                      "app/templates/deployment.yaml", "app/values.yaml"}));
  const Manifest manifest = parse_manifest(chart.artifact.manifest);
  EXPECT_EQ(manifest.config.media_type, media_type::kHelmConfig);
  EXPECT_EQ(manifest.layers.at(0).media_type, media_type::kHelmChart);
  const std::map<std::string, std::string, std::less<>> expected{
      {"example.com/note", "5"},
      {"org.opencontainers.image.authors", "Ann (ann@example.com), Bob"},
      {"org.opencontainers.image.created", "2023-11-14T22:13:20Z"},
      {"org.opencontainers.image.description", "An app"},
      {"org.opencontainers.image.source", "https://example.com/src"},
      {"org.opencontainers.image.title", "app"},
      {"org.opencontainers.image.url", "https://example.com"},
      {"org.opencontainers.image.version", "1.4.0-rc.1+build.5"}};
  EXPECT_EQ(manifest.annotations, expected);
  const Json config = codec::parse_json(as_text(chart.artifact.blobs[0].bytes), "config");
  EXPECT_EQ(config.at("appVersion"), Json("17"));
  EXPECT_EQ(config.at("dependencies").as_array().at(0).at("version"), Json("0.1.0"));

  std::filesystem::copy(directory_ / "chart", directory_ / "copy",
                        std::filesystem::copy_options::recursive);
  std::filesystem::permissions(directory_ / "copy/values.yaml", std::filesystem::perms::all);
  EXPECT_EQ(pack("copy").artifact.manifest.bytes, chart.artifact.manifest.bytes);
  EXPECT_NE(pack("copy", kTime + 1).artifact.manifest.bytes, chart.artifact.manifest.bytes);

  const auto source = artifact_source(posix_file_system(), chart.artifact, "chart");
  EXPECT_EQ(content_of(*source, manifest.layers[0]), as_text(chart.artifact.blobs[1].bytes));
}

TEST_F(HelmChartTest, TakesAPackedChartUnmodified) {
  ASSERT_EQ(run("tar -C " + directory_.path().string() + " --transform s/^chart/app/ -czf " +
                (directory_ / "app.tgz").string() + " chart"),
            0);
  const ChartArtifact chart = pack("app.tgz");
  EXPECT_EQ(chart.version, "1.4.0-rc.1+build.5");
  const auto source = artifact_source(posix_file_system(), chart.artifact, "chart");
  EXPECT_EQ(content_of(*source, chart.artifact.blobs[1].descriptor),
            LayoutBuilder::read(directory_ / "app.tgz"));
  EXPECT_EQ(chart.artifact.blobs[0].bytes, pack().artifact.blobs[0].bytes);
}

TEST_F(HelmChartTest, HonoursHelmignore) {
  write(".helmignore", "# comment\n*.bak\n/ci/\nnotes/*.md\n\n");
  write("a.bak", "");
  write("templates/b.bak", "");
  write("ci/values.yaml", "");
  write("charts/ci/kept", "");
  write("notes/a.md", "");
  write("notes/deep/b.md", "");
  EXPECT_EQ(packed_names(pack()),
            (std::vector<std::string>{"app/.helmignore", "app/Chart.yaml", "app/charts/ci/kept",
                                      "app/charts/sub/Chart.yaml", "app/notes/deep/b.md",
                                      "app/templates/deployment.yaml", "app/values.yaml"}));
  write(".helmignore", "a/**/b\n");
  expect_error(ErrorCode::spec_invalid, [&] { pack(); });
}

TEST_F(HelmChartTest, RefusesSymlinksThatAreNotIgnored) {
  std::filesystem::create_symlink("/etc/passwd", directory_ / "chart/secrets");
  expect_error(ErrorCode::unsafe_path, [&] { pack(); });
  write(".helmignore", "secrets\n");
  EXPECT_NO_THROW(pack());
  std::filesystem::create_directory_symlink(directory_ / "chart", directory_ / "link");
  expect_error(ErrorCode::unsafe_path, [&] { pack("link"); });
}

TEST_F(HelmChartTest, RefusesWhatIsNoChart) {
  expect_error(ErrorCode::not_found, [&] { pack("missing"); });
  for (const std::string& text :
       {std::string(""), std::string("- a\n"), std::string("apiVersion: v2\nname: app\n"),
        std::string("apiVersion: v2\nversion: 1.0.0\n"), std::string("name: app\nversion: 1.0.0\n"),
        std::string("a: [\n")}) {
    SCOPED_TRACE(text);
    write("Chart.yaml", text);
    expect_error(ErrorCode::spec_invalid, [&] { pack(); });
  }
  for (const char* name : {"App", "a/b", "../x", "a..b", ""}) {
    write("Chart.yaml", std::string("apiVersion: v2\nversion: 1.0.0\nname: '") + name + "'\n");
    expect_error(ErrorCode::spec_invalid, [&] { pack(); });
  }
  for (const char* version : {"1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01",
                              "1.0.0+", "1.0.0-a_b", "1.0.0+a+b", "latest"}) {
    write("Chart.yaml", std::string("apiVersion: v2\nname: app\nversion: '") + version + "'\n");
    expect_error(ErrorCode::spec_invalid, [&] { pack(); });
  }
  std::filesystem::remove(directory_ / "chart/Chart.yaml");
  expect_error(ErrorCode::spec_invalid, [&] { pack(); });
}

TEST_F(HelmChartTest, RefusesHostilePackedCharts) {
  const auto pack_tar = [&](const std::string& tar) {
    const auto path = directory_.write("x.tar", tar + end_blocks());
    ASSERT_EQ(run("gzip -nf " + path.string()), 0);
    pack("x.tar.gz");
  };
  const std::string chart = file("app/Chart.yaml", kChart);
  EXPECT_NO_THROW(pack_tar(chart));
  expect_error(ErrorCode::spec_invalid, [&] { pack_tar(file("app/values.yaml", "")); });
  expect_error(ErrorCode::spec_invalid, [&] { pack_tar(chart + chart); });
  expect_error(ErrorCode::spec_invalid, [&] {
    pack_tar(header({.name = "app/Chart.yaml", .type = '2', .link_target = "/etc/passwd"}));
  });
  expect_error(ErrorCode::unsafe_path, [&] { pack_tar(chart + file("app/../../x", "")); });
  expect_error(ErrorCode::unsafe_path, [&] { pack_tar(chart + file("/etc/x", "")); });
  expect_error(ErrorCode::archive_invalid, [&] { pack_tar(chart + "garbage"); });
  expect_error(ErrorCode::bomb,
               [&] { pack_tar(chart + file("app/zeros", std::string(kMaxChartUnpacked, '\0'))); });
  directory_.write("plain.tgz", "this is no gzip file");
  expect_error(ErrorCode::archive_invalid, [&] { pack("plain.tgz"); });
}

}  // namespace
}  // namespace bundle::oci
