#include "attest/layer_scanner.h"

#include <gtest/gtest.h>

#include "attest/inventory.h"
#include "attest/package.h"
#include "codec/tar.h"
#include "codec/zstd.h"
#include "io/stream.h"
#include "oci/document.h"

namespace bundle::attest {
namespace {

struct Member {
  std::string path;
  std::string content;
  std::uint32_t mode = 0644;
};

Bytes tar_of(const std::vector<Member>& members) {
  MemorySink sink(1 << 24);
  codec::TarWriter writer(sink);
  for (const Member& member : members) {
    MemorySource body(as_bytes(member.content));
    writer.add_file(member.path, member.mode, 0, member.content.size(), body);
  }
  writer.finish();
  return sink.take();
}

BlobContents scan(ByteView bytes, std::size_t piece = 1000) {
  BlobScanner scanner;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    scanner.write(bytes.subspan(at, std::min(piece, bytes.size() - at)));
  }
  return scanner.finish();
}

const std::string kDpkg = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n";
const std::string kDebian = "ID=debian\nVERSION_ID=\"12\"\n";

TEST(BlobScanner, FindsPackageFilesOfATarInPiecesOfAnySize) {
  const Bytes tar = tar_of({{"./etc/os-release", kDebian},
                            {"usr/bin/x", std::string(5000, 'x'), 0755},
                            {"var/lib/dpkg/status", kDpkg}});
  for (const std::size_t piece : {std::size_t{1}, std::size_t{513}, tar.size()}) {
    const BlobContents contents = scan(tar, piece);
    ASSERT_EQ(contents.files.size(), 2U) << piece;
    EXPECT_TRUE(contents.files[0].is_os_release);
    EXPECT_EQ(contents.files[1].path, "var/lib/dpkg/status");
    ASSERT_EQ(contents.files[1].list.packages.size(), 1U);
    EXPECT_TRUE(contents.problems.empty());
  }
}

TEST(BlobScanner, LooksIntoZstd) {
  const Bytes tar = tar_of({{"var/lib/dpkg/status", kDpkg}});
  codec::ZstdCompressor compressor({3, 20, false});
  Bytes packed = compressor.compress(tar);
  EXPECT_EQ(scan(packed).files.size(), 1U);
  packed.resize(packed.size() - 5);
  EXPECT_FALSE(scan(packed).problems.empty());
}

TEST(BlobScanner, SaysWhatItCouldNotRead) {
  Bytes tar = tar_of({{"var/lib/dpkg/status", kDpkg}, {"a", std::string(3000, 'a')}});
  const Bytes cut(tar.begin(), tar.begin() + 2500);
  EXPECT_FALSE(scan(cut).problems.empty());
  const BlobContents rpm = scan(tar_of({{"var/lib/rpm/rpmdb.sqlite", "SQLite format 3"},
                                        {"var/lib/rpm/rpmdb.sqlite-wal", "x"},
                                        {"usr/lib/sysimage/rpm/rpmdb.sqlite-wal", ""}}));
  ASSERT_EQ(rpm.files.size(), 3U);
  EXPECT_NE(rpm.files[0].list.problem, "");
  EXPECT_NE(rpm.files[1].list.problem, "");
  EXPECT_EQ(rpm.files[2].list.problem, "");
}

TEST(BlobScanner, OtherBlobsAreNoError) {
  EXPECT_TRUE(scan({}).files.empty());
  EXPECT_TRUE(scan(as_bytes("abc")).problems.empty());
  EXPECT_TRUE(scan(Bytes(100'000, 7)).problems.empty());
}

TEST(BlobScanner, NotesWhiteouts) {
  const BlobContents contents =
      scan(tar_of({{"app/.wh.node_modules", ""}, {"srv/.wh..wh..opq", ""}, {".wh.top", ""}}));
  EXPECT_EQ(contents.removed, (std::vector<std::string>{"app/node_modules", "top"}));
  EXPECT_EQ(contents.emptied, std::vector<std::string>{"srv/"});
}

// Blobs in memory under their digests.
class Image {
 public:
  oci::Descriptor add(std::string_view media_type, Bytes bytes) {
    oci::Descriptor descriptor;
    descriptor.media_type = media_type;
    descriptor.digest = sha256(bytes);
    descriptor.size = bytes.size();
    const auto shared = std::make_shared<const Bytes>(std::move(bytes));
    blobs.push_back({descriptor.digest, descriptor.size, descriptor.media_type, "test",
                     [shared] { return std::make_unique<MemorySource>(*shared); }});
    return descriptor;
  }

  void add_layer(const std::vector<Member>& members) {
    const Bytes tar = tar_of(members);
    layers.push_back(add(oci::media_type::kLayerTar, tar));
    contents.insert_or_assign(layers.back().digest, scan(tar));
  }

  ImageInventory inventory() {
    oci::Manifest manifest;
    manifest.media_type = oci::media_type::kManifest;
    manifest.config = add(oci::media_type::kConfig, to_bytes("{}"));
    manifest.layers = layers;
    const oci::Document document = oci::make_manifest(manifest);
    release::Manifest release;
    release::Artifact image;
    image.name = "registry.example.com/app:1";
    image.descriptor = add(oci::media_type::kManifest, document.bytes);
    release.images = {image};
    return take_inventory(release, blobs, contents).images.at(0);
  }

  std::vector<std::string> urls() {
    std::vector<std::string> out;
    for (const FoundPackage& found : inventory().packages)
      out.push_back(package_url(found.package));
    return out;
  }

  std::vector<spec::BlobInput> blobs;
  std::vector<oci::Descriptor> layers;
  ContentsByBlob contents;
};

std::string npm(const std::string& name, const std::string& version) {
  return R"({"name":")" + name + R"(","version":")" + version + "\"}";
}

TEST(Inventory, LayersCoverEachOther) {
  Image image;
  image.add_layer({{"etc/os-release", kDebian},
                   {"var/lib/dpkg/status", kDpkg},
                   {"app/node_modules/a/package.json", npm("a", "1.0.0")},
                   {"app/node_modules/b/package.json", npm("b", "1.0.0")},
                   {"srv/node_modules/c/package.json", npm("c", "1.0.0")}});
  image.add_layer({{"var/lib/dpkg/status", kDpkg + "\nPackage: tz\nVersion: 2024a\n"},
                   {"app/node_modules/.wh.b", ""},
                   {"srv/.wh..wh..opq", ""},
                   {"srv/node_modules/d/package.json", npm("d", "2.0.0")}});
  EXPECT_EQ(image.urls(), (std::vector<std::string>{"pkg:deb/debian/libc6@2.36-9?distro=debian-12",
                                                    "pkg:deb/debian/tz@2024a?distro=debian-12",
                                                    "pkg:npm/a@1.0.0", "pkg:npm/d@2.0.0"}));
}

TEST(Inventory, TellsWhatMayBeMissing) {
  Image image;
  image.add_layer({{"var/lib/rpm/rpmdb.sqlite", "x"}, {"a/package-lock.json", "{"}});
  const ImageInventory inventory = image.inventory();
  ASSERT_EQ(inventory.problems.size(), 2U);
  EXPECT_TRUE(inventory.problems[1].starts_with("var/lib/rpm/rpmdb.sqlite: "));
}

}  // namespace
}  // namespace bundle::attest
