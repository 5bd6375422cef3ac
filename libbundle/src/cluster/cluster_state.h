// How a cluster is: its nodes, and what Flux has made of the release.
// Facts: Kubernetes core/v1 Node; fluxcd.io source v1 OCIRepository, kustomize v1 Kustomization,
// helm v2 HelmRelease, meta.ReconcileRequestAnnotation.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cluster/kube_client.h"
#include "crypto/digest.h"
#include "release/manifest.h"

namespace bundle::cluster {

struct Node {
  std::string name;
  std::string address;  // InternalIP; may be empty
  std::string version;  // of its kubelet: "v1.31.6+k3s1"
  bool server = false;  // has the control plane
  bool ready = false;
  bool unschedulable = false;
  std::string reason;  // why it is not ready
};

// One object of Flux.
struct FluxObject {
  std::string kind;  // "OCIRepository", "Kustomization", "HelmRelease"
  std::string name;
  std::string path;         // of the object in the API
  bool suspended = false;   // Flux leaves it alone
  bool ready = false;       // condition Ready, of the present generation
  bool stalled = false;     // Flux has given up until something changes
  std::string message;      // of the condition that says so
  std::string asked;        // annotation reconcile.fluxcd.io/requestedAt
  std::string handled;      // the request that was answered last
  std::string repository;   // OCIRepository: of its url, without the host
  std::string revision;     // what it has: "stable@sha256:..."
  std::string source;       // name of the OCIRepository that it is made from; may be empty
  std::string source_kind;  // "OCIRepository"
  std::string text() const { return kind + " " + name; }
};

struct ClusterState {
  std::vector<Node> nodes;
  std::vector<FluxObject> objects;
};

// Asks for everything. A kind of object that the cluster does not know is taken as none of it.
// Throws as KubeClient::list.
ClusterState read_state(KubeClient& client, const std::string& flux_namespace);
std::vector<Node> read_nodes(KubeClient& client);

// Digests that a release serves under each repository.
using ServedDigests = std::map<std::string, std::set<std::string>, std::less<>>;
ServedDigests served_digests(const release::Manifest& manifest);

// What is not well, one line each; empty: nodes ready, Flux installed and content.
std::vector<std::string> health_problems(const ClusterState& state);
// A source of Flux reads one of these repositories.
bool follows(const ClusterState& state, const ServedDigests& served);

// Flux is asked to look at an object by a request "<token>.<round>" in its annotations.
// What is still missing until the cluster has made `served` its own after requests of `token`.
std::vector<std::string> missing_steps(const ClusterState& state, const ServedDigests& served,
                                       const std::string& token);
// Objects that Flux will not move any more by itself although their sources are at the release, of
// those that have answered a request of `token`.
std::vector<std::string> given_up(const ClusterState& state, const ServedDigests& served,
                                  const std::string& token);
// Asks for what was not asked with this token yet, and once a round for what has answered and is
// not there yet (the registry may have served the old release a moment ago). In the order of
// sources, Kustomizations, HelmReleases.
void request_reconcile(KubeClient& client, const ClusterState& state, const ServedDigests& served,
                       const std::string& token, std::uint64_t round);

}  // namespace bundle::cluster
