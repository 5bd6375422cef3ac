// The keys `cluster` and `k3s` of site.yaml: the site's cluster, and how its k3s is changed.
// Their meaning: docs/operator-guide.md, "The cluster of the site".
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "io/file_system.h"

namespace bundle::release {

struct ClusterSettings {
  Path kubeconfig;
  std::string context;  // empty: the current one
  std::string flux_namespace = "flux-system";
  std::chrono::seconds time_limit{1200};  // for Flux and the nodes after a step
  std::chrono::seconds poll_interval{5};
};

// A command line; "{name}" in an argument is replaced. Never a shell.
using CommandLine = std::vector<std::string>;

struct K3sSettings {
  std::string node;  // this machine's name in the cluster; empty: its host name
  Path binary = "/usr/local/bin/k3s";
  Path data_directory = "/var/lib/rancher/k3s";
  std::chrono::seconds time_limit{900};  // for each node and command
  // By name; those that site.yaml does not give are the defaults.
  std::map<std::string, CommandLine, std::less<>> commands;
};

// Every command with its default, and what its placeholders are.
const std::map<std::string, CommandLine, std::less<>>& default_k3s_commands();

// Of what the site schema has accepted. Nothing: no cluster is configured, k3s is not ours to
// change.
std::optional<ClusterSettings> read_cluster_settings(const codec::Json& site);
std::optional<K3sSettings> read_k3s_settings(const codec::Json& site);

}  // namespace bundle::release
