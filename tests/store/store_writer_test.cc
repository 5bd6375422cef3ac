// The store after a failure at every single change that a writer makes.
#include "store/store_writer.h"

#include <gtest/gtest.h>

#include "release/manifest.h"
#include "support/fault_file_system.h"
#include "support/temp_directory.h"
#include "trust/statement.h"

namespace bundle::store {
namespace {

const Cancel kNoCancel;
constexpr format::BundleId kBundle = {4, 2};

Bytes blob_content(int number) {
  Bytes content(static_cast<std::size_t>(number) * 3000 + 10,
                static_cast<std::uint8_t>('a' + number));
  return content;
}

BlobEntry blob_entry(int number) {
  const Bytes content = blob_content(number);
  return {sha256(content), content.size()};
}

oci::Descriptor chart_descriptor() {
  const BlobEntry blob = blob_entry(0);
  oci::Descriptor descriptor;
  descriptor.media_type = oci::media_type::kManifest;
  descriptor.digest = blob.digest;
  descriptor.size = blob.size;
  return descriptor;
}

// A release of the blobs [first, last], with the documents that its folder holds.
struct TestRelease {
  std::string version;
  std::vector<BlobEntry> blobs;
  format::FileList files;
};

TestRelease make_release(const std::string& version, std::uint64_t number, int first, int last) {
  TestRelease release{version, {}, {}};
  for (int i = first; i <= last; ++i) release.blobs.push_back(blob_entry(i));
  release::Manifest manifest;
  manifest.product = "test";
  manifest.version = version;
  manifest.release_number = number;
  manifest.created = 1'700'000'000;
  manifest.os_base = "ubuntu-24.04";
  manifest.k8s_distribution = "k3s";
  manifest.k8s_version = "v1.31.6+k3s1";
  manifest.chart_path = "helm/";
  manifest.values_profile = "single-node";
  manifest.chart = {"app", version, {}};
  manifest.chart.artifact.name = "test/charts/app:" + version;
  manifest.chart.artifact.repository = "test/charts/app";
  manifest.chart.artifact.tag = version;
  manifest.chart.artifact.descriptor = chart_descriptor();
  const std::string text = release::write_manifest(manifest);
  const std::string list = format::encode_blob_list(release.blobs);
  trust::Statement statement;
  statement.product = "test";
  statement.version = version;
  statement.release_number = number;
  statement.created = manifest.created;
  statement.expires = manifest.created + 86'400;
  statement.manifest_digest = sha256(as_bytes(text));
  statement.manifest_size = text.size();
  statement.blob_list_digest = sha256(as_bytes(list));
  statement.blob_list_size = list.size();
  statement.blob_count = release.blobs.size();
  for (const BlobEntry& blob : release.blobs) statement.blob_bytes += blob.size;
  release.files = {{"blobs.list", list},
                   {"manifest.json", text},
                   {"statement.json", trust::encode_statement(statement)}};
  return release;
}

const TestRelease& old_release() {
  static const TestRelease release = make_release("1.0.0", 1, 0, 3);
  return release;
}
const TestRelease& new_release() {
  static const TestRelease release = make_release("1.1.0", 2, 0, 6);
  return release;
}

void write_blobs(StoreWriter& writer, const TestRelease& release) {
  for (int i = 0; i < static_cast<int>(release.blobs.size()); ++i) {
    const BlobEntry entry = blob_entry(i);
    if (writer.store().has_blob(entry)) continue;
    auto blob = writer.begin_blob(entry, false);
    blob->write(blob_content(i));
    writer.commit_blob(std::move(blob));
  }
  writer.flush_blobs();
}

void import(StoreWriter& writer, const TestRelease& release) {
  writer.note_unfinished(kBundle, release.files.front().content);
  writer.stage_leaf(kBundle, 3, blob_content(2));
  write_blobs(writer, release);
  writer.publish_release(release.version, release.files);
  writer.drop_staged(kBundle);
}

// What the failing writer does: a whole import, activation and the removal of the old release.
void life(FileSystem& fs, const Path& root) {
  StoreWriter writer(SiteStore::create(fs, root));
  import(writer, new_release());
  writer.activate(new_release().version);
  writer.collect({old_release().version}, false, false);
}

class StoreWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    StoreWriter writer(SiteStore::create(posix_file_system(), root_));
    import(writer, old_release());
    writer.activate(old_release().version);
  }

  // Whatever happened: releases that can be seen are whole, and one of the two is live.
  void expect_sound() const {
    const auto store = SiteStore::open(posix_file_system(), root_);
    for (const ReleaseInfo& release : store->releases()) {
      for (const BlobEntry& blob : store->release_blobs(release.version)) {
        EXPECT_EQ(store->blob_problem(blob, kNoCancel), "") << release.version;
      }
      EXPECT_FALSE(store->release_artifacts(release.version).empty());
    }
    const auto active = store->active_version();
    ASSERT_TRUE(active.has_value());
    EXPECT_NO_THROW(store->release(*active)) << *active;
  }

  // What the next, undisturbed writer makes of it.
  void expect_recovery() const {
    life_again();
    const auto store = SiteStore::open(posix_file_system(), root_);
    EXPECT_EQ(store->active_version(), new_release().version);
    EXPECT_EQ(store->releases().size(), 1U);
    EXPECT_TRUE(posix_file_system().list(store->staging_dir()).empty());
    EXPECT_EQ(posix_file_system().list(root_ / "blobs" / "sha256").size(),
              new_release().blobs.size());
    for (const std::string& name : posix_file_system().list(root_)) {
      EXPECT_FALSE(name.ends_with(".new") || name.starts_with(".tmp")) << name;
    }
  }

  void life_again() const {
    StoreWriter writer(SiteStore::open(posix_file_system(), root_));
    import(writer, new_release());
    writer.activate(new_release().version);
    const auto releases = writer.store().releases();
    const bool old = releases.size() == 2;
    writer.collect(old ? std::vector{old_release().version} : std::vector<std::string>{}, false,
                   false);
  }

  bundle::testing::TempDirectory folder_;
  Path root_ = folder_ / "store";
};

TEST_F(StoreWriterTest, SurvivesAFailureAtEveryChange) {
  const Path pristine = folder_ / "pristine";
  std::filesystem::copy(root_, pristine, std::filesystem::copy_options::recursive);
  FaultFileSystem counting(UINT64_MAX, ErrorCode::io_error);
  life(counting, root_);
  expect_sound();
  const std::uint64_t changes = counting.changes();
  ASSERT_GT(changes, 50U);
  for (std::uint64_t fail_at = 1; fail_at <= changes; ++fail_at) {
    SCOPED_TRACE(fail_at);
    std::filesystem::remove_all(root_);
    std::filesystem::copy(pristine, root_, std::filesystem::copy_options::recursive);
    FaultFileSystem failing(fail_at, fail_at % 2 == 0 ? ErrorCode::no_space : ErrorCode::io_error);
    EXPECT_THROW(life(failing, root_), Error);
    expect_sound();
    expect_recovery();
    expect_sound();
  }
}

TEST_F(StoreWriterTest, ACreationThatWasCutShortIsGoneOnWith) {
  const Path fresh = folder_ / "fresh";
  FaultFileSystem counting(UINT64_MAX, ErrorCode::io_error);
  SiteStore::create(counting, fresh);
  for (std::uint64_t fail_at = 1; fail_at <= counting.changes(); ++fail_at) {
    std::filesystem::remove_all(fresh);
    FaultFileSystem failing(fail_at, ErrorCode::io_error);
    EXPECT_THROW(SiteStore::create(failing, fresh), Error);
    EXPECT_NO_THROW(SiteStore::create(posix_file_system(), fresh));
    EXPECT_NO_THROW(SiteStore::open(posix_file_system(), fresh));
  }
}

TEST_F(StoreWriterTest, KeepsNothingOfABlobThatDoesNotMatch) {
  StoreWriter writer(SiteStore::open(posix_file_system(), root_));
  const auto before = posix_file_system().list(root_ / "blobs" / "sha256");
  const BlobEntry wanted = blob_entry(9);
  auto blob = writer.begin_blob(wanted, false);
  blob->write(blob_content(8));
  EXPECT_THROW(writer.commit_blob(std::move(blob)), Error);
  writer.flush_blobs();
  EXPECT_EQ(posix_file_system().list(root_ / "blobs" / "sha256"), before);
}

TEST_F(StoreWriterTest, ALargeBlobGoesOnWhereItStopped) {
  Bytes content(StoreWriter::kResumableSize + 12345, 7);
  content[100] = 1;
  const BlobEntry entry{sha256(content), content.size()};
  const std::size_t half = content.size() / 2;
  {
    StoreWriter writer(SiteStore::open(posix_file_system(), root_));
    auto blob = writer.begin_blob(entry, true);
    EXPECT_EQ(blob->offset(), 0U);
    blob->write(ByteView(content).first(half));
  }
  StoreWriter writer(SiteStore::open(posix_file_system(), root_));
  auto blob = writer.begin_blob(entry, true);
  EXPECT_EQ(blob->offset(), half);
  blob->write(ByteView(content).subspan(half));
  writer.commit_blob(std::move(blob));
  writer.flush_blobs();
  EXPECT_EQ(writer.store().blob_problem(entry, kNoCancel), "");
}

TEST_F(StoreWriterTest, SecondWriterIsRefused) {
  StoreWriter writer(SiteStore::open(posix_file_system(), root_));
  try {
    StoreWriter second(SiteStore::open(posix_file_system(), root_));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::busy);
  }
}

TEST(SiteStoreOpen, RefusesOtherFolders) {
  bundle::testing::TempDirectory folder;
  EXPECT_THROW(SiteStore::open(posix_file_system(), folder / "nowhere"), Error);
  folder.write("letters/a.txt", "x");
  EXPECT_THROW(SiteStore::create(posix_file_system(), folder / "letters"), Error);
}

}  // namespace
}  // namespace bundle::store
