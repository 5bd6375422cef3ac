#include "registry/catalog.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "registry/test_store.h"

namespace bundle::registry {
namespace {

using testing::ReleaseDraft;
using testing::TestStore;

TEST(ArtifactName, IsCutIntoItsParts) {
  const auto cut = [](const char* text) {
    const ArtifactName name = split_artifact_name(text);
    return name.host + "|" + name.repository + "|" + name.tag;
  };
  EXPECT_EQ(cut("docker.io/library/redis:7.2"), "docker.io|library/redis|7.2");
  EXPECT_EQ(cut("localhost/app:1"), "localhost|app|1");
  EXPECT_EQ(cut("registry.example.com:5000/app"), "registry.example.com:5000|app|");
  EXPECT_EQ(cut("example-appliance/charts/app:1.0.0"), "|example-appliance/charts/app|1.0.0");
  EXPECT_EQ(cut("docker.io/library/redis@sha256:00"), "docker.io|library/redis|");
  EXPECT_EQ(cut("docker.io/library/redis:7@sha256:00"), "docker.io|library/redis|7");
  EXPECT_EQ(cut("app"), "|app|");
}

TEST(Catalog, DocumentsAreReadOnceAndKept) {
  TestStore store;
  ReleaseDraft draft = store.draft();
  const auto image = draft.image({draft.blob("layer", oci::media_type::kLayerTarGzip)});
  draft.name("registry.example.com", "app", "1", image);
  store.publish(std::move(draft), "1.0.0", 1);
  const auto site = store.open();
  const auto first = build_catalog(*site, nullptr);
  // Even with the file gone the second build has the document of the first.
  std::filesystem::remove(store.blob_path(image.digest));
  const auto second = build_catalog(*site, first.get());
  EXPECT_TRUE(second->problems.empty());
  EXPECT_EQ(second->documents.at(image.digest), first->documents.at(image.digest));
  EXPECT_FALSE(build_catalog(*site, nullptr)->problems.empty());
}

TEST(Catalog, ABlobThatTheReleaseDoesNotListIsNotOffered) {
  TestStore store;
  ReleaseDraft draft = store.draft();
  const auto secret = draft.blob("not part of the release", oci::media_type::kLayerTarGzip);
  const auto image = draft.image({secret});
  draft.forget(secret.digest);
  draft.name("registry.example.com", "app", "1", image);
  store.publish(std::move(draft), "1.0.0", 1);
  const auto catalog = build_catalog(*store.open(), nullptr);
  const auto repository = catalog->find("app", std::nullopt);
  ASSERT_TRUE(repository);
  EXPECT_FALSE(repository->blobs.contains(secret.digest));
  EXPECT_TRUE(repository->documents.contains(image.digest));
}

TEST(Catalog, ASizeThatManifestAndReleaseDoNotShareIsAProblem) {
  TestStore store;
  ReleaseDraft draft = store.draft();
  auto layer = draft.blob("layer", oci::media_type::kLayerTarGzip);
  layer.size += 1;  // the manifest will say so
  draft.name("registry.example.com", "app", "1", draft.image({layer}));
  store.publish(std::move(draft), "1.0.0", 1);
  const auto catalog = build_catalog(*store.open(), nullptr);
  ASSERT_EQ(catalog->problems.size(), 1u);
  EXPECT_NE(catalog->problems[0].find(layer.digest.text()), std::string::npos);
  EXPECT_FALSE(catalog->find("app", std::nullopt)->blobs.contains(layer.digest));
}

// What Flux asks for: a tag that moves with the activation, and with nothing else.
TEST(Catalog, TheTagActiveIsTheDesiredStateOfTheActiveRelease) {
  TestStore store;
  std::vector<Digest> states;
  for (const char* version : {"1.0.0", "1.1.0"}) {
    ReleaseDraft draft = store.draft();
    const auto state = draft.image({draft.blob(version, oci::media_type::kLayerTarGzip)});
    draft.name("registry.example.com", "app", version, draft.image({}));
    draft.flux("example-appliance", version, state);
    const auto signature = draft.image({}, state, "application/vnd.dev.sigstore.bundle.v0.3+json");
    draft.state->artifact.referrers.push_back({signature, state.digest, ""});
    store.publish(std::move(draft), version, states.size() + 1);
    states.push_back(state.digest);
  }
  const auto active = [&]() -> std::optional<Digest> {
    const auto catalog = build_catalog(*store.open(), nullptr);
    const auto& tags = catalog->find("example-appliance/flux", std::nullopt)->tags;
    const auto at = tags.find("active");
    return at == tags.end() ? std::nullopt : std::optional(at->second->descriptor.digest);
  };
  EXPECT_EQ(active(), std::nullopt);  // nothing is live: nothing to bring a cluster to
  store.activate("1.0.0");
  EXPECT_EQ(active(), states[0]);
  store.activate("1.1.0");
  EXPECT_EQ(active(), states[1]);
  store.activate("1.0.0");
  EXPECT_EQ(active(), states[0]);
  const auto catalog = build_catalog(*store.open(), nullptr);
  EXPECT_FALSE(catalog->find("app", std::nullopt)->tags.contains("active"));
}

TEST(Catalog, AnActiveReleaseThatIsNotThereIsAProblemAndTheNewestLeads) {
  TestStore store;
  ReleaseDraft draft = store.draft();
  draft.name("registry.example.com", "app", "1", draft.image({}));
  store.publish(std::move(draft), "1.0.0", 1);
  store.activate("9.9.9");
  const auto catalog = build_catalog(*store.open(), nullptr);
  EXPECT_EQ(catalog->problems.size(), 1u);
  EXPECT_EQ(catalog->leading, "1.0.0");
}

TEST(Catalog, ABlobCountsAsPublishedWithItsFirstRelease) {
  TestStore store;
  const auto publish = [&](const std::string& version, std::uint64_t number) {
    ReleaseDraft draft = store.draft();
    draft.name("registry.example.com", "app", version,
               draft.image({draft.blob("shared", oci::media_type::kLayerTarGzip)}));
    store.publish(std::move(draft), version, number);
  };
  publish("1.0.0", 1);
  const auto published_in = [&](const std::string& version) {
    return posix_file_system().status(store.root() / "releases" / version)->ctime_ns;
  };
  publish("1.1.0", 2);
  const auto catalog = build_catalog(*store.open(), nullptr);
  const auto repository = catalog->find("app", std::nullopt);
  const Digest shared = sha256(as_bytes("shared"));
  EXPECT_EQ(repository->blobs.at(shared).published_ns, published_in("1.0.0"));
  EXPECT_LE(posix_file_system().status(store.blob_path(shared))->ctime_ns, published_in("1.0.0"));
}

}  // namespace
}  // namespace bundle::registry
