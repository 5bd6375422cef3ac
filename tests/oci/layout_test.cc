#include "oci/layout.h"

#include <gtest/gtest.h>

#include "oci/layout_builder.h"
#include "support/expect_error.h"

namespace bundle::oci {
namespace {

using namespace bundle::testing;

class LayoutTest : public ::testing::Test {
 protected:
  std::shared_ptr<ContentSource> open(const std::string& reference) {
    return open_local_source(posix_file_system(), reference, layout_.directory.path());
  }
  std::vector<std::string> referrer_text(ContentSource& source, const Digest& digest) {
    std::vector<std::string> text;
    for (const Descriptor& found : source.referrers(digest)) {
      const auto tag = found.annotations.find(annotation::kRefName);
      text.push_back(found.digest.text() + (tag == found.annotations.end() ? "" : tag->second));
    }
    return text;
  }
  LayoutBuilder layout_;
};

TEST_F(LayoutTest, FindsImagesByTagDigestAndAlone) {
  const Descriptor one = layout_.image("amd64", {"layer one"});
  layout_.tag(one, "app/server:1.4.0");
  EXPECT_EQ(open("oci:layout")->root().descriptor.digest, one.digest);
  const Descriptor two = layout_.image("amd64", {"layer two"});
  layout_.tag(two, "docker.io/library/redis:7.2", "io.containerd.image.name");
  const Descriptor child = layout_.image("arm64", {"not listed"});
  for (const std::string& layout :
       {std::string("oci:layout"), "oci-archive:" + layout_.archive().string()}) {
    SCOPED_TRACE(layout);
    const auto source = open(layout + ":app/server:1.4.0");
    EXPECT_EQ(source->root().descriptor.digest, one.digest);
    EXPECT_TRUE(source->root().descriptor.annotations.empty());
    EXPECT_EQ(source->name(), layout + ":app/server:1.4.0");
    const Manifest manifest = parse_manifest(source->root());
    EXPECT_EQ(content_of(*source, manifest.layers[0]), "layer one");
    EXPECT_EQ(open(layout + ":docker.io/library/redis:7.2")->root().descriptor.digest, two.digest);
    EXPECT_EQ(open(layout + "@" + two.digest.text())->root().descriptor.digest, two.digest);
    EXPECT_EQ(open(layout + ":app/server:1.4.0@" + one.digest.text())->root().descriptor.digest,
              one.digest);
    const Document unlisted = open(layout + "@" + child.digest.text())->root();
    EXPECT_EQ(unlisted.descriptor.media_type, media_type::kManifest);

    expect_error(ErrorCode::usage, [&] { open(layout); });
    const Error error = expect_error(ErrorCode::not_found, [&] { open(layout + ":app:9"); });
    EXPECT_NE(error.message().find("app/server:1.4.0"), std::string::npos);
    EXPECT_NE(error.message().find("docker.io/library/redis:7.2"), std::string::npos);
    expect_error(ErrorCode::not_found,
                 [&] { open(layout + ":app/server:1.4.0@" + two.digest.text()); });
    expect_error(ErrorCode::not_found, [&] { open(layout + "@sha256:" + std::string(64, 'a')); });
    EXPECT_FALSE(source->document(named(sha256(as_bytes("x")))));
    expect_error(ErrorCode::not_found, [&] { source->open_blob(named(sha256(as_bytes("x")))); });
  }
}

TEST_F(LayoutTest, RefusesReferencesOfAnotherForm) {
  for (const std::string& reference :
       {std::string("layout"), std::string("oci:"), std::string("oci::tag"),
        std::string("oci:layout:"), std::string("docker://registry.example.com/a"),
        std::string("dir:layout"), "docker-archive:a.tar@sha256:" + std::string(64, 'a')}) {
    SCOPED_TRACE(reference);
    expect_error(ErrorCode::usage, [&] { open(reference); });
  }
  EXPECT_TRUE(is_local_reference("oci-archive:x"));
  EXPECT_FALSE(is_local_reference("docker://x"));
}

TEST_F(LayoutTest, OneTagForTwoImagesIsAnError) {
  layout_.tag(layout_.image("amd64", {"1"}), "x");
  layout_.tag(layout_.image("amd64", {"2"}), "x");
  expect_error(ErrorCode::name_collision, [&] { open("oci:layout:x"); });
}

TEST_F(LayoutTest, SignaturesDoNotCountAsImages) {
  const Descriptor image = layout_.image("amd64", {"layer"});
  layout_.tag(image, "");
  const Descriptor by_subject = layout_.artifact("application/x-sbom", "sbom", &image);
  const Descriptor other = layout_.artifact("application/x-other", "other", &by_subject);
  const Descriptor cosign = layout_.artifact("application/x-sig", "sig");
  const Descriptor fallback = layout_.artifact("application/x-att", "att", &image);
  layout_.tag(by_subject, "");
  layout_.tag(other, "");
  const std::string tag = "sha256-" + image.digest.hex();
  layout_.tag(cosign, "app/web:" + tag + ".sig");
  layout_.tag(layout_.index({fallback}), tag);
  const auto source = open("oci:layout");
  EXPECT_EQ(source->root().descriptor.digest, image.digest);
  std::vector<std::string> expected{by_subject.digest.text(), fallback.digest.text(),
                                    cosign.digest.text() + tag + ".sig"};
  std::ranges::sort(expected);
  EXPECT_EQ(referrer_text(*source, image.digest), expected);
  EXPECT_EQ(referrer_text(*source, by_subject.digest),
            std::vector<std::string>{other.digest.text()});
  EXPECT_TRUE(source->referrers(other.digest).empty());
}

TEST_F(LayoutTest, DamageIsNoticed) {
  const Descriptor image = layout_.image("amd64", {"the layer"});
  layout_.tag(image, "x");
  const auto source = open("oci:layout:x");
  const Descriptor layer = parse_manifest(source->root()).layers[0];
  const std::string file = "layout/blobs/sha256/" + layer.digest.hex();
  layout_.directory.write(file, "The layer");
  expect_error(ErrorCode::blob_mismatch, [&] { content_of(*source, layer); });
  layout_.directory.write(file, "the layer and more");
  expect_error(ErrorCode::blob_mismatch, [&] { content_of(*source, layer); });
  layout_.directory.write(file, "");
  expect_error(ErrorCode::blob_mismatch, [&] { content_of(*source, layer); });
  layout_.remove(layer);
  expect_error(ErrorCode::not_found, [&] { content_of(*source, layer); });
  layout_.directory.write("layout/blobs/sha256/" + image.digest.hex(), "{}");
  expect_error(ErrorCode::blob_mismatch, [&] { source->root(); });
  layout_.remove(image);
  expect_error(ErrorCode::not_found, [&] { source->root(); });
}

TEST_F(LayoutTest, TheLastByteIsNotDeliveredWhenTheDigestIsWrong) {
  const Descriptor image = layout_.image("amd64", {"the layer"});
  layout_.tag(image, "x");
  const auto source = open("oci:layout:x");
  const Descriptor layer = parse_manifest(source->root()).layers[0];
  layout_.directory.write("layout/blobs/sha256/" + layer.digest.hex(), "the lAyer");
  const auto stream = source->open_blob(layer);
  Bytes buffer(5);
  EXPECT_EQ(stream->read(buffer), 5U);
  expect_error(ErrorCode::blob_mismatch, [&] { stream->read(buffer); });
}

TEST_F(LayoutTest, FollowsNoSymlink) {
  const Descriptor image = layout_.image("amd64", {"layer"});
  layout_.tag(image, "x");
  namespace fs = std::filesystem;
  const auto source = open("oci:layout:x");
  fs::rename(layout_.blob_path(image.digest), layout_.directory / "outside");
  fs::create_symlink(layout_.directory / "outside", layout_.blob_path(image.digest));
  expect_error(ErrorCode::unsafe_path, [&] { source->root(); });
  fs::rename(layout_.root() / "blobs", layout_.directory / "blobs");
  fs::create_symlink(layout_.directory / "blobs", layout_.root() / "blobs");
  expect_error(ErrorCode::unsafe_path, [&] { source->root(); });
  fs::remove(layout_.root() / "index.json");
  fs::create_symlink("/etc/passwd", layout_.root() / "index.json");
  expect_error(ErrorCode::unsafe_path, [&] { open("oci:layout:x"); });
  fs::remove(layout_.root() / "index.json");
  fs::create_directory(layout_.root() / "index.json");
  expect_error(ErrorCode::unsafe_path, [&] { open("oci:layout:x"); });
}

TEST_F(LayoutTest, RefusesWhatIsNoLayout) {
  const auto write = [&](const std::string& name, const std::string& text) {
    layout_.directory.write("layout/" + name, text);
  };
  expect_error(ErrorCode::oci_invalid, [&] { open("oci:missing"); });
  expect_error(ErrorCode::not_found, [&] { open("oci:layout"); });  // holds no image
  write("index.json", "{}");
  expect_error(ErrorCode::oci_invalid, [&] { open("oci:layout"); });
  write("index.json", "not JSON");
  EXPECT_TRUE(error_of([&] { open("oci:layout"); }));
  write("index.json", R"({"schemaVersion":2,"manifests":[],"mediaType":"a/b"})");
  expect_error(ErrorCode::oci_invalid, [&] { open("oci:layout"); });
  std::filesystem::remove(layout_.root() / "index.json");
  expect_error(ErrorCode::oci_invalid, [&] { open("oci:layout"); });
  write("oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  expect_error(ErrorCode::unsupported, [&] { open("oci:layout"); });
  write("oci-layout", std::string(10'000, ' '));
  expect_error(ErrorCode::limit, [&] { open("oci:layout"); });
}

TEST_F(LayoutTest, AnEntryOfAnotherTypeIsNoImage) {
  layout_.tag(layout_.blob("data", "application/x-data"), "x");
  expect_error(ErrorCode::oci_invalid, [&] { open("oci:layout:x"); });
}

TEST_F(LayoutTest, RefusesHostileArchives) {
  const std::string marker = file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  const std::string index = file("index.json", R"({"schemaVersion":2,"manifests":[]})");
  const auto open_tar = [&](const std::string& tar) {
    layout_.directory.write("a.tar", tar + end_blocks());
    open("oci-archive:a.tar");
  };
  expect_error(ErrorCode::not_found, [&] { open_tar(marker + index); });
  expect_error(ErrorCode::name_collision, [&] { open_tar(marker + index + index); });
  expect_error(ErrorCode::name_collision,
               [&] { open_tar(marker + index + file("./index.json", "{}")); });
  expect_error(ErrorCode::unsafe_path, [&] { open_tar(marker + index + file("../x", "")); });
  expect_error(ErrorCode::unsafe_path, [&] { open_tar(marker + index + file("/x", "")); });
  expect_error(ErrorCode::unsafe_path, [&] {
    open_tar(marker + header({.name = "index.json", .type = '2', .link_target = "index.json"}));
  });
  expect_error(ErrorCode::oci_invalid, [&] {  // a link out of the archive leads nowhere
    open_tar(marker + header({.name = "index.json", .type = '2', .link_target = "/etc/passwd"}));
  });
  expect_error(ErrorCode::unsafe_path,
               [&] { open_tar(marker + header({.name = "index.json", .type = '6'})); });
  expect_error(ErrorCode::archive_invalid, [&] { open_tar(marker + index + "garbage"); });
  expect_error(ErrorCode::archive_invalid, [&] { open_tar(std::string("\x1f\x8b\x08", 3)); });
}

}  // namespace
}  // namespace bundle::oci
