#include "registry/live_catalog.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "registry/test_store.h"
#include "support/fault_file_system.h"

namespace bundle::registry {
namespace {

using testing::ReleaseDraft;
using testing::TestStore;

void publish(const TestStore& store, const std::string& version, std::uint64_t number) {
  ReleaseDraft draft = store.draft();
  const auto image = draft.image({draft.blob("layer " + version, oci::media_type::kLayerTarGzip)});
  draft.name("registry.example.com", "app", version, image);
  store.publish(std::move(draft), version, number);
}

// gc takes a release away right after it was listed.
class RemovingFileSystem final : public FaultFileSystem {
 public:
  RemovingFileSystem(const TestStore& store, std::string version)
      : FaultFileSystem(std::numeric_limits<std::uint64_t>::max(), ErrorCode::io_error),
        store_(store),
        version_(std::move(version)) {}

  std::optional<FileStatus> status(const Path& path) override {
    auto status = FaultFileSystem::status(path);
    if (!removed && status && path == store_.root() / "releases" / version_ / "statement.json") {
      removed = true;
      store_.remove_release(version_);
    }
    return status;
  }

  bool removed = false;

 private:
  const TestStore& store_;
  std::string version_;
};

TEST(LiveCatalog, AReleaseThatGoesWhileItIsReadIsNoTrouble) {
  TestStore store;
  publish(store, "1.0.0", 1);
  publish(store, "1.1.0", 2);
  RemovingFileSystem fs(store, "1.1.0");
  const LiveCatalog live(store::SiteStore::open(fs, store.root()), std::chrono::hours(1),
                         [](const std::string&) {});
  EXPECT_TRUE(fs.removed);
  EXPECT_EQ(live.current()->releases.size(), 1U);
  EXPECT_EQ(live.trouble(), "");
}

TEST(LiveCatalog, AStoreThatStaysBrokenIsToldAtTheStart) {
  TestStore store;
  publish(store, "1.0.0", 1);
  std::filesystem::resize_file(store.root() / "releases/1.0.0/statement.json", 3);
  EXPECT_THROW(LiveCatalog(store.open(), std::chrono::hours(1), [](const std::string&) {}), Error);
}

}  // namespace
}  // namespace bundle::registry
