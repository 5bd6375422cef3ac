#include "release/site_cluster.h"

namespace bundle::release {
namespace {

using codec::Json;

void read_seconds(const Json& json, std::string_view key, std::chrono::seconds& into) {
  if (const Json* value = json.find(key)) into = std::chrono::seconds(value->as_int());
}

}  // namespace

const std::map<std::string, CommandLine, std::less<>>& default_k3s_commands() {
  static const std::map<std::string, CommandLine, std::less<>> kCommands = {
      // {service}: k3s on a server, k3s-agent on an agent
      {"start", {"systemctl", "start", "{service}"}},
      {"stop", {"systemctl", "stop", "{service}"}},
      // Also ends the containers; before the datastore goes back.
      {"kill", {"k3s-killall.sh"}},
      {"drain",
       {"{binary}", "kubectl", "drain", "{node}", "--ignore-daemonsets", "--delete-emptydir-data",
        "--timeout={seconds}s"}},
      {"uncordon", {"{binary}", "kubectl", "uncordon", "{node}"}},
      {"snapshot",
       {"{binary}", "etcd-snapshot", "save", "--name", "{name}", "--etcd-snapshot-dir",
        "{directory}"}},
      {"restore",
       {"{binary}", "server", "--cluster-reset", "--cluster-reset-restore-path={snapshot}"}},
      // Before a command line for another node; it is one word list, quoted for a shell there.
      {"remote", {"ssh", "-o", "BatchMode=yes", "root@{address}"}},
      {"copy", {"scp", "-q", "-o", "BatchMode=yes", "{from}", "root@{address}:{to}"}},
  };
  return kCommands;
}

std::optional<ClusterSettings> read_cluster_settings(const Json& site) {
  const Json* cluster = site.find("cluster");
  if (cluster == nullptr) return std::nullopt;
  ClusterSettings settings;
  settings.kubeconfig = cluster->at("kubeconfig").as_string();
  settings.context = cluster->string_or("context", "");
  settings.flux_namespace = cluster->string_or("fluxNamespace", settings.flux_namespace);
  read_seconds(*cluster, "timeLimitSeconds", settings.time_limit);
  read_seconds(*cluster, "pollSeconds", settings.poll_interval);
  return settings;
}

std::optional<K3sSettings> read_k3s_settings(const Json& site) {
  const Json* k3s = site.find("k3s");
  if (k3s == nullptr) return std::nullopt;
  K3sSettings settings;
  settings.commands = default_k3s_commands();
  settings.node = k3s->string_or("node", "");
  settings.binary = k3s->string_or("binary", settings.binary.string());
  settings.data_directory = k3s->string_or("dataDirectory", settings.data_directory.string());
  read_seconds(*k3s, "timeLimitSeconds", settings.time_limit);
  const Json* commands = k3s->find("commands");
  if (commands == nullptr) return settings;
  for (const auto& [name, words] : commands->as_object()) {
    CommandLine& command = settings.commands[name];
    command.clear();
    for (const Json& word : words.as_array()) command.push_back(word.as_string());
  }
  return settings;
}

}  // namespace bundle::release
