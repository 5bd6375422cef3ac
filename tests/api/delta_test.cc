// Deltas through the public API: what they carry, where they import, and what they refuse.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "bundle/import.h"
#include "bundle/make.h"
#include "bundle/site.h"
#include "codec/json.h"
#include "support/bundle_surgery.h"
#include "support/expect_error.h"
#include "support/file_tree.h"
#include "support/sample_release.h"
#include "support/temp_directory.h"

namespace bundle::testing {
namespace {

using std::filesystem::path;

const Cancel kNoCancel;
constexpr std::uint64_t kIdenticalLimit = 64 << 10;
constexpr std::uint64_t kBytesPerBlob = 40;

SampleOptions sample(const std::string& version) {
  SampleOptions options;
  options.version = version;
  options.opaque_bytes = 600 << 10;
  options.modules = 60;
  return options;
}

MakeReport make_delta(const path& inputs, const path& out, const SampleKey& key,
                      std::vector<path> bases) {
  MakeOptions options;
  options.spec = inputs / "release.yaml";
  options.out = out;
  options.fast = true;
  options.sign.key = key.secret;
  options.bases = std::move(bases);
  return make_bundle(options, silent_progress(), kNoCancel);
}

std::uint64_t bundle_bytes(const path& folder) {
  std::uint64_t bytes = 0;
  for (const path& volume : volumes_in(folder)) bytes += std::filesystem::file_size(volume);
  return bytes;
}

// Bundles that several tests read and none changes.
class Deltas {
 public:
  static const Deltas& get() {
    static const Deltas deltas;
    return deltas;
  }
  // The SBOM and the provenance have the time of creation in them: one for all, or no two releases
  // would share these.
  const std::string time = std::to_string(std::time(nullptr));
  TempDirectory folder;
  SampleKey key = make_sample_key(folder / "vendor");
  MakeReport delta;      // 1.0.0 to 1.1.0
  MakeReport two_bases;  // either of 1.0.0 and 1.0.5 to 1.1.0

  path full(const std::string& version) const { return folder / version; }
  path inputs(const std::string& version) const { return folder / (version + ".inputs"); }

 private:
  Deltas() {
    const ScopedVariable created("SOURCE_DATE_EPOCH", time);
    for (const char* version : {"1.0.0", "1.0.5", "1.1.0"})
      make_sample_release(full(version), key, sample(version));
    delta = make_delta(inputs("1.1.0"), folder / "delta", key, {full("1.0.0")});
    two_bases = make_delta(inputs("1.1.0"), folder / "two", key, {full("1.0.0"), full("1.0.5")});
  }
};

class DeltaTest : public ::testing::Test {
 protected:
  ImportOptions options(const path& source, const path& store) const {
    ImportOptions options;
    options.sources = {source};
    options.store = store;
    options.trust = deltas_.key.open;
    return options;
  }
  ImportReport import(const path& source, const path& store) const {
    return import_release(options(source, store), silent_progress(), kNoCancel);
  }
  FileTree blobs(const path& store) const { return file_tree(store / "blobs" / "sha256"); }
  // The largest blob of release `version` that the base list of the delta names.
  path base_blob(const path& delta) const {
    BundleParts parts = read_parts(volumes_in(delta).front());
    std::istringstream list(parts.document("bases.list"));
    std::string digest;
    std::string largest;
    std::uint64_t size = 0;
    std::uint64_t most = 0;
    while (list >> digest >> size) {
      if (size > most) largest = digest.substr(digest.find(':') + 1);
      most = std::max(most, size);
    }
    return store_ / "blobs" / "sha256" / largest;
  }

  const Deltas& deltas_ = Deltas::get();
  const ScopedVariable created_{"SOURCE_DATE_EPOCH", deltas_.time};
  TempDirectory folder_;
  path store_ = folder_ / "store";
  path delta_ = deltas_.folder / "delta";
};

TEST_F(DeltaTest, GivesTheBlobsOfTheFullBundle) {
  import(deltas_.full("1.0.0"), store_);
  const ImportReport report = import(delta_, store_);
  EXPECT_TRUE(report.complete);
  EXPECT_GT(report.blobs_written, 0U);

  const path other = folder_ / "other";
  import(deltas_.full("1.0.0"), other);
  import(deltas_.full("1.1.0"), other);
  EXPECT_EQ(blobs(store_), blobs(other));
  EXPECT_TRUE(audit_store(store_, 2, silent_progress(), kNoCancel).problems.empty());
}

// What a delta leaves out is in the SBOM all the same.
TEST_F(DeltaTest, HasTheStatementOfTheFullBundle) {
  EXPECT_EQ(read_parts(volumes_in(delta_).front()).document("statement.json"),
            read_parts(volumes_in(deltas_.full("1.1.0")).front()).document("statement.json"));
}

TEST_F(DeltaTest, IsSmallAndSaysWhatItNeeds) {
  EXPECT_LT(deltas_.delta.bundle_bytes, bundle_bytes(deltas_.full("1.1.0")) / 4);
  EXPECT_EQ(deltas_.delta.bases, std::vector<std::string>{"1.0.0"});
  EXPECT_GT(deltas_.delta.omitted_blobs, 0U);
  EXPECT_GT(deltas_.delta.base_bytes, 500U << 10);
  EXPECT_GT(deltas_.delta.replayed_bytes, 0U);
  EXPECT_EQ(inspect_bundle({delta_}).bases, std::vector<std::string>{"1.0.0"});
}

TEST_F(DeltaTest, SameInputsSameBytes) {
  for (const char* name : {"one", "again"}) {
    make_delta(deltas_.inputs("1.1.0"), folder_ / name, deltas_.key, {deltas_.full("1.0.0")});
  }
  EXPECT_EQ(file_tree(folder_ / "again"), file_tree(folder_ / "one"));
}

TEST_F(DeltaTest, IdenticalReleaseCostsAlmostNothing) {
  const MakeReport made =
      make_delta(deltas_.inputs("1.0.0"), folder_ / "same", deltas_.key, {deltas_.full("1.0.0")});
  EXPECT_EQ(made.omitted_blobs, made.blobs);
  EXPECT_LT(made.bundle_bytes, kIdenticalLimit + kBytesPerBlob * made.blobs);
}

// Every layer is another blob then, but nothing in it is new except the times in its headers.
TEST_F(DeltaTest, NewTimesCostAlmostNothing) {
  SampleOptions later = sample("1.0.0");
  later.layer_time += 86'400;
  write_sample_inputs(folder_ / "later", later);
  const MakeReport made =
      make_delta(folder_ / "later", folder_ / "times", deltas_.key, {deltas_.full("1.0.0")});
  const std::uint64_t documents = kIdenticalLimit / 2;  // statement, manifest, index, signatures
  EXPECT_LT(made.bundle_bytes, documents + bundle_bytes(deltas_.full("1.0.0")) / 100);
}

TEST_F(DeltaTest, RefusedBeforeAnyWriteWithoutItsBase) {
  const FileTree empty = file_tree(folder_.path());
  const auto nothing = error_of([&] { import(delta_, store_); });
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->code(), ErrorCode::base_missing);
  EXPECT_EQ(file_tree(folder_.path()), empty);

  import(deltas_.full("1.0.0"), store_);
  const path blob = base_blob(delta_);
  const auto size = std::filesystem::file_size(blob);
  std::filesystem::remove(blob);
  const FileTree before = file_tree(store_);
  const auto missing = error_of([&] { import(delta_, store_); });
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->code(), ErrorCode::base_missing);
  EXPECT_NE(missing->message().find(blob.filename().string()), std::string::npos)
      << missing->message();
  EXPECT_NE(missing->message().find(std::to_string(size)), std::string::npos) << missing->message();
  EXPECT_NE(missing->message().find("1.0.0"), std::string::npos);
  EXPECT_EQ(error_of([&] { plan_import(options(delta_, store_), kNoCancel); })->code(),
            ErrorCode::base_missing);
  EXPECT_EQ(file_tree(store_), before);
}

TEST_F(DeltaTest, DamagedBaseBlobIsNamedAndNothingIsWritten) {
  import(deltas_.full("1.0.0"), store_);
  const path blob = base_blob(delta_);
  std::string content = read_whole(blob);
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
  std::filesystem::permissions(blob, std::filesystem::perms::owner_all);
  write_whole(blob, content);
  const FileTree before = file_tree(store_);
  const auto error = error_of([&] { import(delta_, store_); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::store_corrupt);
  EXPECT_NE(error->message().find(blob.filename().string()), std::string::npos) << error->message();
  EXPECT_EQ(file_tree(store_), before);

  // The full bundle of the base repairs it, and then the delta works.
  import(deltas_.full("1.0.0"), store_);
  EXPECT_TRUE(import(delta_, store_).complete);
}

TEST_F(DeltaTest, OneOfSeveralBasesIsEnough) {
  EXPECT_EQ(deltas_.two_bases.bases, (std::vector<std::string>{"1.0.0", "1.0.5"}));
  for (const char* version : {"1.0.0", "1.0.5"}) {
    const path store = folder_ / version;
    import(deltas_.full(version), store);
    EXPECT_TRUE(import(deltas_.folder / "two", store).complete) << version;
    EXPECT_TRUE(audit_store(store, 2, silent_progress(), kNoCancel).problems.empty());
  }
}

TEST_F(DeltaTest, InventoryOfASiteLeavesEqualBlobsOut) {
  import(deltas_.full("1.0.0"), store_);
  const path inventory = folder_ / "site-7.have";
  write_whole(inventory, site_inventory(store_));
  EXPECT_EQ(site_inventory(store_), bundle_inventory({deltas_.full("1.0.0")}));
  const MakeReport made =
      make_delta(deltas_.inputs("1.1.0"), folder_ / "by-list", deltas_.key, {inventory});
  EXPECT_EQ(made.bases, std::vector<std::string>{"site-7"});
  EXPECT_EQ(made.omitted_blobs, deltas_.delta.omitted_blobs);
  EXPECT_EQ(made.base_bytes, 0U);
  EXPECT_TRUE(import(folder_ / "by-list", store_).complete);

  // With the bundle beside it the contents are known too.
  const MakeReport both = make_delta(deltas_.inputs("1.1.0"), folder_ / "both", deltas_.key,
                                     {inventory, deltas_.full("1.0.0")});
  EXPECT_EQ(both.base_bytes, deltas_.delta.base_bytes);
}

TEST_F(DeltaTest, OnSeveralVolumesInAnyOrder) {
  import(deltas_.full("1.0.0"), store_);
  SampleOptions large = sample("1.2.0");
  large.opaque_bytes = 4 << 20;  // much that is new
  write_sample_inputs(folder_ / "large", large);
  MakeOptions make;
  make.spec = folder_ / "large" / "release.yaml";
  make.out = folder_ / "cut";
  make.fast = true;
  make.volume_size = kSampleVolume;
  make.sign.key = deltas_.key.secret;
  make.bases = {deltas_.full("1.0.0")};
  make_bundle(make, silent_progress(), kNoCancel);
  auto volumes = volumes_in(folder_ / "cut");
  ASSERT_GT(volumes.size(), 1U);
  std::ranges::reverse(volumes);
  for (std::size_t i = 0; i < volumes.size(); ++i) {
    const auto error = error_of([&] { import(volumes[i], store_); });
    if (i + 1 < volumes.size()) {
      EXPECT_EQ(error->code(), ErrorCode::volume_missing);
    } else {
      EXPECT_FALSE(error) << error->message();
    }
  }
  EXPECT_TRUE(audit_store(store_, 2, silent_progress(), kNoCancel).problems.empty());
}

TEST_F(DeltaTest, ADeltaIsNoBase) {
  const auto error =
      error_of([&] { make_delta(deltas_.inputs("1.1.0"), folder_ / "x", deltas_.key, {delta_}); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::usage);
}

TEST_F(DeltaTest, VerifyChecksEveryByteButCannotRebuild) {
  VerifyOptions verify;
  verify.sources = {delta_};
  verify.trust = deltas_.key.open;
  EXPECT_GT(verify_bundle(verify, silent_progress(), kNoCancel).leaves, 0U);
  verify.rebuild = true;
  EXPECT_EQ(error_of([&] { verify_bundle(verify, silent_progress(), kNoCancel); })->code(),
            ErrorCode::base_missing);
}

// bases.list is covered by the carrier's signature.
TEST_F(DeltaTest, ChangedBaseListIsRefused) {
  import(deltas_.full("1.0.0"), store_);
  BundleParts parts = read_parts(volumes_in(delta_).front());
  std::string& list = parts.document("bases.list");
  list[10] = list[10] == '0' ? '1' : '0';
  const path volume = folder_ / "changed" / "a.bundle";
  std::filesystem::create_directories(volume.parent_path());
  write_parts(volume, parts);
  const FileTree before = file_tree(store_);
  EXPECT_EQ(error_of([&] { import(volume.parent_path(), store_); })->code(),
            ErrorCode::statement_mismatch);
  EXPECT_EQ(file_tree(store_), before);
}

}  // namespace
}  // namespace bundle::testing
