#include "cluster/cluster_state.h"

#include <gtest/gtest.h>

namespace bundle::cluster {
namespace {

const std::string kNew = "sha256:" + std::string(64, 'b');
const std::string kOld = "sha256:" + std::string(64, 'a');
const ServedDigests kServed = {{"app/flux", {kNew}}};

Node ready_node() {
  Node node;
  node.name = "server-1";
  node.ready = true;
  return node;
}

FluxObject source(const std::string& digest, const std::string& handled) {
  FluxObject object;
  object.kind = "OCIRepository";
  object.name = "release";
  object.repository = "app/flux";
  object.revision = "active@" + digest;
  object.ready = true;
  object.asked = object.handled = handled;
  return object;
}

FluxObject kustomization(const std::string& digest, const std::string& handled) {
  FluxObject object = source(digest, handled);
  object.kind = "Kustomization";
  object.repository.clear();
  object.source_kind = "OCIRepository";
  object.source = "release";
  return object;
}

std::size_t missing(std::vector<FluxObject> objects) {
  return missing_steps({{ready_node()}, std::move(objects)}, kServed, "id-to").size();
}

TEST(ClusterState, ThereWhenAllAnsweredAndAreReady) {
  EXPECT_EQ(missing({source(kNew, "id-to.0"), kustomization(kNew, "id-to.3")}), 0U);
}

TEST(ClusterState, OldDigestIsNotThere) {
  EXPECT_EQ(missing({source(kOld, "id-to.0")}), 1U);
  EXPECT_EQ(missing({source(kNew, "id-to.0"), kustomization(kOld, "id-to.0")}), 1U);
}

TEST(ClusterState, AnotherRequestIsNoAnswer) {
  EXPECT_EQ(missing({source(kNew, "id-to.0"), kustomization(kNew, "id-too.0")}), 1U);
  EXPECT_EQ(missing({source(kNew, "id-to.0"), kustomization(kNew, "")}), 1U);
}

TEST(ClusterState, NodesAndEmptyClusters) {
  ClusterState state{{}, {source(kNew, "id-to.0")}};
  EXPECT_EQ(missing_steps(state, kServed, "id-to").size(), 1U);
  EXPECT_EQ(health_problems({{ready_node()}, {}}).size(), 1U);
  Node sick = ready_node();
  sick.ready = false;
  EXPECT_EQ(health_problems({{ready_node(), sick}, {source(kOld, "")}}).size(), 1U);
}

TEST(ClusterState, SuspendedSourceOfTheReleaseIsMissing) {
  FluxObject suspended = source(kNew, "");
  suspended.suspended = true;
  EXPECT_EQ(missing({suspended}), 1U);
  FluxObject foreign = suspended;
  foreign.repository = "somebody/else";
  EXPECT_EQ(missing({source(kNew, "id-to.0"), foreign}), 0U);
}

TEST(ClusterState, GivenUpOnlyWithTheReleaseAtHand) {
  FluxObject stalled = kustomization(kNew, "id-to.0");
  stalled.stalled = true;
  stalled.ready = false;
  EXPECT_EQ(given_up({{}, {source(kNew, "id-to.0"), stalled}}, kServed, "id-to").size(), 1U);
  EXPECT_EQ(given_up({{}, {source(kOld, "id-to.0"), stalled}}, kServed, "id-to").size(), 0U);
  stalled.handled = "id-from.0";
  EXPECT_EQ(given_up({{}, {source(kNew, "id-to.0"), stalled}}, kServed, "id-to").size(), 0U);
}

}  // namespace
}  // namespace bundle::cluster
