#include "cluster/cluster_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "transfer/http_error.h"
#include "transfer/http_url.h"

namespace bundle::cluster {
namespace {

using codec::Json;

constexpr std::string_view kRequestedAt = "reconcile.fluxcd.io/requestedAt";
constexpr std::string_view kControlPlane = "node-role.kubernetes.io/control-plane";

const Json& empty_object() {
  static const Json kEmpty = Json::object();
  return kEmpty;
}

// Objects in a cluster are others' words: what is not as it should be is taken as missing.
const Json& part(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  return member != nullptr && member->is_object() ? *member : empty_object();
}
std::string text(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  return member != nullptr && member->is_string() ? member->as_string() : std::string();
}
bool flag(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  return member != nullptr && member->is_bool() && member->as_bool();
}
std::int64_t number(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  return member != nullptr && member->is_int() ? member->as_int() : 0;
}

const Json& condition(const Json& status, std::string_view type) {
  const Json* conditions = status.find("conditions");
  if (conditions == nullptr || !conditions->is_array()) return empty_object();
  for (const Json& entry : conditions->as_array()) {
    if (text(entry, "type") == type) return entry;
  }
  return empty_object();
}

std::string words(const Json& entry) {
  return transfer::printable_server_text(
      fmt::format("{}: {}", text(entry, "reason"), text(entry, "message")));
}

Node read_node(const Json& object) {
  const Json& metadata = part(object, "metadata");
  const Json& status = part(object, "status");
  Node node;
  node.name = text(metadata, "name");
  node.version = text(part(status, "nodeInfo"), "kubeletVersion");
  node.server = part(metadata, "labels").find(kControlPlane) != nullptr;
  node.unschedulable = flag(part(object, "spec"), "unschedulable");
  const Json& ready = condition(status, "Ready");
  node.ready = text(ready, "status") == "True";
  if (!node.ready) node.reason = words(ready);
  const Json* addresses = status.find("addresses");
  if (addresses == nullptr || !addresses->is_array()) return node;
  for (const Json& address : addresses->as_array()) {
    if (text(address, "type") == "InternalIP") node.address = text(address, "address");
  }
  return node;
}

// "example/flux" of "oci://registry.example.com:5000/example/flux".
std::string repository_of(std::string_view url) {
  constexpr std::string_view kScheme = "oci://";
  if (!url.starts_with(kScheme)) return {};
  url.remove_prefix(kScheme.size());
  const auto slash = url.find('/');
  return slash == url.npos ? std::string() : std::string(url.substr(slash + 1));
}

std::string revision_of(std::string_view kind, const Json& status) {
  if (kind == "OCIRepository") return text(part(status, "artifact"), "revision");
  if (kind == "Kustomization") return text(status, "lastAppliedRevision");
  return text(status, "lastAttemptedRevisionDigest");
}

FluxObject read_object(std::string_view kind, const std::string& collection, const Json& json) {
  const Json& metadata = part(json, "metadata");
  const Json& spec = part(json, "spec");
  const Json& status = part(json, "status");
  FluxObject object;
  object.kind = kind;
  object.name = text(metadata, "name");
  object.path = fmt::format("{}/{}", collection, transfer::percent_encode(object.name));
  object.suspended = flag(spec, "suspend");
  object.asked = text(part(metadata, "annotations"), kRequestedAt);
  object.handled = text(status, "lastHandledReconcileAt");
  object.repository = repository_of(text(spec, "url"));
  object.revision = revision_of(kind, status);
  const Json& source = part(spec, kind == "HelmRelease" ? "chartRef" : "sourceRef");
  object.source = text(source, "name");
  object.source_kind = text(source, "kind");
  const Json& ready = condition(status, "Ready");
  const bool seen = number(status, "observedGeneration") == number(metadata, "generation");
  object.ready = seen && text(ready, "status") == "True";
  if (!object.ready) object.message = seen ? words(ready) : "has not been looked at yet";
  const Json& stalled = condition(status, "Stalled");
  object.stalled = seen && text(stalled, "status") == "True";
  if (object.stalled) object.message = words(stalled);
  return object;
}

// "sha256:..." of "stable@sha256:...", or of a digest alone.
std::string digest_of(const std::string& revision) {
  const auto at = revision.rfind('@');
  return at == std::string::npos ? revision : revision.substr(at + 1);
}

const FluxObject* find_source(const ClusterState& state, const FluxObject& object) {
  if (object.source_kind != "OCIRepository") return nullptr;
  const auto found = std::ranges::find_if(state.objects, [&](const FluxObject& other) {
    return other.kind == "OCIRepository" && other.name == object.source;
  });
  return found == state.objects.end() ? nullptr : &*found;
}

void add_node_problems(const ClusterState& state, std::vector<std::string>& problems) {
  if (state.nodes.empty()) problems.emplace_back("the cluster has no nodes");
  for (const Node& node : state.nodes) {
    if (!node.ready)
      problems.push_back(fmt::format("node {} is not ready: {}", node.name, node.reason));
  }
}

// Whether a request was made with this token.
bool is_of(const std::string& token, const std::string& request) {
  return request.starts_with(token + ".");
}

// What keeps one object from being at the release; empty: it is.
std::string missing_step(const ClusterState& state, const ServedDigests& served,
                         const std::string& token, const FluxObject& object) {
  const auto wanted = served.find(object.repository);
  const bool of_release = wanted != served.end();
  if (object.suspended) {
    return of_release ? "is suspended: flux resume, or kubectl patch spec.suspend to false" : "";
  }
  if (of_release && !wanted->second.contains(digest_of(object.revision))) {
    return fmt::format("has {} and not the release's artifact{}",
                       object.revision.empty() ? "nothing" : object.revision,
                       object.ready ? "" : "; " + object.message);
  }
  if (!is_of(token, object.handled)) return "has not answered yet";
  if (!object.ready) return object.message;
  const FluxObject* source = find_source(state, object);
  if (source == nullptr || source->suspended) return {};
  const bool behind = digest_of(object.revision) != digest_of(source->revision);
  // Old helm-controllers do not say which digest it was.
  if (behind && !(object.kind == "HelmRelease" && object.revision.empty())) {
    return fmt::format("is at {}, its source at {}", object.revision, source->revision);
  }
  return {};
}

}  // namespace

std::vector<Node> read_nodes(KubeClient& client) {
  std::vector<Node> nodes;
  for (const Json& object : client.list("/api/v1/nodes")) nodes.push_back(read_node(object));
  return nodes;
}

ClusterState read_state(KubeClient& client, const std::string& flux_namespace) {
  constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"OCIRepository", "/apis/source.toolkit.fluxcd.io/v1/namespaces/{}/ocirepositories"},
      {"Kustomization", "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{}/kustomizations"},
      {"HelmRelease", "/apis/helm.toolkit.fluxcd.io/v2/namespaces/{}/helmreleases"}};
  ClusterState state;
  state.nodes = read_nodes(client);
  for (const auto& [kind, pattern] : kKinds) {
    const std::string collection = fmt::format(fmt::runtime(pattern), flux_namespace);
    try {
      for (const Json& object : client.list(collection)) {
        state.objects.push_back(read_object(kind, collection, object));
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::not_found) throw;
    }
  }
  return state;
}

ServedDigests served_digests(const release::Manifest& manifest) {
  ServedDigests served;
  for (const release::Artifact* artifact : manifest.artifacts()) {
    served[artifact->repository].insert(artifact->descriptor.digest.text());
  }
  return served;
}

std::vector<std::string> health_problems(const ClusterState& state) {
  std::vector<std::string> problems;
  add_node_problems(state, problems);
  if (state.objects.empty()) problems.emplace_back("Flux has no objects in its namespace");
  for (const FluxObject& object : state.objects) {
    if (object.suspended || object.ready) continue;
    problems.push_back(fmt::format("{} is not ready: {}", object.text(), object.message));
  }
  return problems;
}

std::vector<std::string> missing_steps(const ClusterState& state, const ServedDigests& served,
                                       const std::string& token) {
  std::vector<std::string> missing;
  add_node_problems(state, missing);
  if (state.objects.empty()) missing.emplace_back("Flux has no objects in its namespace");
  for (const FluxObject& object : state.objects) {
    const std::string step = missing_step(state, served, token, object);
    if (!step.empty()) missing.push_back(fmt::format("{} {}", object.text(), step));
  }
  return missing;
}

bool follows(const ClusterState& state, const ServedDigests& served) {
  return std::ranges::any_of(
      state.objects, [&](const FluxObject& object) { return served.contains(object.repository); });
}

std::vector<std::string> given_up(const ClusterState& state, const ServedDigests& served,
                                  const std::string& token) {
  std::vector<std::string> lost;
  const bool sources_behind = std::ranges::any_of(state.objects, [&](const FluxObject& object) {
    return object.kind == "OCIRepository" && !missing_step(state, served, token, object).empty();
  });
  if (sources_behind) return lost;
  for (const FluxObject& object : state.objects) {
    if (object.suspended || !object.stalled || !is_of(token, object.handled)) continue;
    lost.push_back(fmt::format("{} is stalled: {}", object.text(), object.message));
  }
  return lost;
}

void request_reconcile(KubeClient& client, const ClusterState& state, const ServedDigests& served,
                       const std::string& token, std::uint64_t round) {
  const std::string request = fmt::format("{}.{}", token, round);
  Json annotations;
  annotations.set(std::string(kRequestedAt), request);
  Json metadata;
  metadata.set("annotations", std::move(annotations));
  Json patch;
  patch.set("metadata", std::move(metadata));
  for (const FluxObject& object : state.objects) {
    if (object.suspended || object.asked == request) continue;
    const bool answered = object.handled == object.asked;
    const bool again = answered && !missing_step(state, served, token, object).empty();
    if (again || !is_of(token, object.asked)) client.merge_patch(object.path, patch);
  }
}

}  // namespace bundle::cluster
