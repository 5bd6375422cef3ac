// Layouts and archives that other tools made: skopeo and umoci, when this machine has them.
#include <gtest/gtest.h>

#include "oci/layout.h"
#include "oci/layout_builder.h"
#include "oci/walk.h"

namespace bundle::oci {
namespace {

using namespace bundle::testing;

int run(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str());
}

class Interop : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run("command -v skopeo && command -v umoci") != 0) GTEST_SKIP() << "no skopeo, no umoci";
    const std::string work = directory_.path().string();
    directory_.write("rootfs/etc/motd", "hello\n");
    directory_.write("rootfs/" + std::string(120, 'l'), std::string(100'000, 'x'));
    ASSERT_EQ(run("cd " + work +
                  " && umoci init --layout made && umoci new --image made:app-1.0 && "
                  "umoci insert --image made:app-1.0 --rootless rootfs /"),
              0);
  }
  std::shared_ptr<ContentSource> open(const std::string& reference) {
    return open_local_source(posix_file_system(), reference, directory_.path());
  }
  int skopeo(const std::string& from, const std::string& to, const std::string& options = "") {
    return run("cd " + directory_.path().string() + " && skopeo copy --insecure-policy " + options +
               " " + from + " " + to);
  }
  // Reads every blob, which checks every digest.
  static std::size_t read_all_blobs(ContentSource& source) {
    const Closure closure = walk(source, {{Platform::parse("linux/amd64")}, true});
    for (const Descriptor& blob : closure.blobs) content_of(source, blob);
    return closure.blobs.size();
  }
  TempDirectory directory_;
};

TEST_F(Interop, ReadsLayoutsOfUmociAndSkopeo) {
  const auto made = open("oci:made:app-1.0");
  EXPECT_EQ(read_all_blobs(*made), 2U);
  ASSERT_EQ(skopeo("oci:made:app-1.0", "oci:copied:app/server:1.4.0"), 0);
  ASSERT_EQ(skopeo("oci:made:app-1.0", "oci-archive:copied.tar:app/server:1.4.0"), 0);
  for (const char* reference :
       {"oci:copied:app/server:1.4.0", "oci-archive:copied.tar:app/server:1.4.0", "oci:copied",
        "oci-archive:copied.tar"}) {
    SCOPED_TRACE(reference);
    const auto copied = open(reference);
    EXPECT_EQ(copied->root().descriptor.digest, made->root().descriptor.digest);
    EXPECT_EQ(read_all_blobs(*copied), 2U);
  }
}

TEST_F(Interop, ReadsDockerArchivesOfSkopeo) {
  ASSERT_EQ(skopeo("oci:made:app-1.0", "docker-archive:saved.tar:example/web:1.0"), 0);
  const auto saved = open("docker-archive:saved.tar:example/web:1.0");
  EXPECT_EQ(read_all_blobs(*saved), 2U);
  const auto made = open("oci:made:app-1.0");
  EXPECT_EQ(parse_manifest(saved->root()).config.digest,
            parse_manifest(made->root()).config.digest);
  EXPECT_EQ(open("docker-archive:saved.tar")->root().bytes, saved->root().bytes);
}

TEST_F(Interop, ReadsDockerSchema2) {
  ASSERT_EQ(skopeo("oci:made:app-1.0", "dir:v2s2", "--format v2s2"), 0);
  const std::string manifest = LayoutBuilder::read(directory_ / "v2s2/manifest.json");
  EXPECT_EQ(sniff_media_type(as_bytes(manifest), "test"), media_type::kDockerManifest);
  EXPECT_EQ(parse_manifest(as_bytes(manifest), media_type::kDockerManifest, "test").layers.size(),
            1U);
}

}  // namespace
}  // namespace bundle::oci
