// Waiting for a cluster.
#pragma once

#include <optional>
#include <string>

#include "cluster/cluster_state.h"
#include "release/site_cluster.h"

namespace bundle::cluster {

// A cluster that is watched. Not thread-safe.
class ClusterWatch {
 public:
  // Asks nothing yet. The kubeconfig is read when it is needed: k3s writes it at its first start.
  // `progress` and `cancel` must outlive this object.
  ClusterWatch(FileSystem& fs, const release::ClusterSettings& settings, Progress& progress,
               const Cancel& cancel);

  // Asks Flux to look now, and returns when every object is at the release that serves `served`
  // and all nodes are ready. Tells `progress` what is missing whenever that changes. An API server
  // that does not answer for a while is waited for, too.
  // Throws Error{timeout} naming what is missing, Error{gate_refused} when Flux has given up,
  // Error{auth_failed|tls_failed|config_invalid|cancelled}.
  void wait_for_release(const ServedDigests& served, const std::string& token);
  // Returns when the node is ready and its kubelet has this version. Throws as above.
  void wait_for_node(const std::string& node, const std::string& version,
                     std::chrono::seconds time_limit);

  KubeClient& client();
  ClusterState state() { return read_state(client(), settings_.flux_namespace); }

 private:
  template <typename Look>
  void wait(Look missing, std::chrono::seconds time_limit, std::string_view what);

  FileSystem& fs_;
  release::ClusterSettings settings_;
  std::optional<KubeClient> client_;
  Progress& progress_;
  const Cancel& cancel_;
};

}  // namespace bundle::cluster
