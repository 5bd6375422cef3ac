// Asks the gate about situations that come as JSON, one a line, and prints its answers the same
// way. test_gate_table.py makes the situations and knows the answers by a statement of its own.
#include <fmt/format.h>

#include <iostream>

#include "bundle/error.h"
#include "codec/json.h"
#include "release/gate.h"

namespace bundle::release {
namespace {

using codec::Json;

StoredRelease read_release(const Json& row) {
  StoredRelease release;
  Manifest& manifest = release.manifest;
  manifest.product = row.at("product").as_string();
  manifest.version = row.at("version").as_string();
  manifest.release_number = row.at("number").as_size();
  manifest.k8s_version = row.at("k8s").as_string();
  for (const Json& pattern : row.at("upgrade_from").as_array()) {
    manifest.upgrade_from.push_back(pattern.as_string());
  }
  // Contradictions of a release with itself are part of the table.
  manifest.gates = read_gate_rules(row.at("gates"), manifest.version, manifest.k8s_version,
                                   [](const auto&, const auto&) {});
  if (row.at("revoked").as_bool()) release.revoked = "revoked";
  release.blobs_missing = row.at("missing").as_size();
  return release;
}

HookResult read_hook(const Json& row) {
  HookResult hook;
  hook.name = row.at("name").as_string();
  hook.is_backup = Hook{hook.name, {}}.is_backup();
  const std::string& state = row.at("state").as_string();
  if (state == "passed") hook.state = HookState::passed;
  if (state == "failed") hook.state = HookState::failed;
  if (state == "timed_out") hook.state = HookState::timed_out;
  if (state == "failed" || state == "timed_out") hook.reason = state;
  return hook;
}

GateFacts read_facts(const Json& row) {
  GateFacts facts;
  for (const Json& release : row.at("store").as_array()) {
    facts.store.push_back(read_release(release));
  }
  facts.candidate = row.at("candidate").as_string();
  facts.active = row.at("active").as_string();
  if (row.at("rollback").as_bool()) facts.direction = GateDirection::rollback;
  facts.app_only = row.at("app_only").as_bool();
  facts.newest_known = row.at("newest").as_string();
  facts.installed_k8s = K3sVersion::parse(row.at("installed").as_string());
  const SiteConfig site = parse_site_config(row.at("site_yaml").as_string(), "site.yaml");
  facts.platform = site.platform;
  facts.maintenance_windows = site.maintenance_windows;
  facts.disk_free = row.at("disk_free").as_size();
  facts.now = *parse_time(row.at("now").as_string());
  facts.time_floor = *parse_time(row.at("floor").as_string());
  facts.outside_window = row.at("outside").as_string();
  for (const Json& hook : row.at("hooks").as_array()) facts.hooks.push_back(read_hook(hook));
  if (row.at("cluster_sick").as_bool()) facts.cluster_problems.emplace_back("node a is not ready");
  if (row.at("values_bad").as_bool()) facts.value_problems.emplace_back("/replicas: no number");
  facts.unhealthy_reason = row.at("unhealthy").as_string();
  facts.restore = row.at("restore").as_bool();
  return facts;
}

Json answer(const Json& row) {
  const GateDecision decision = may_activate(read_facts(row));
  Json failures = Json::array();
  for (const GateFailure& failure : decision.failures) {
    if (failure.reason.empty() || failure.next_step.empty()) {
      throw Error(ErrorCode::internal, fmt::format("{} says too little", failure.rule));
    }
    failures.push_back(failure.rule);
  }
  Json out;
  out.set("allowed", decision.allowed).set("failures", std::move(failures));
  out.set("action", decision.next_step.action).set("version", decision.next_step.version);
  out.set("outside", decision.outside_window);
  if (decision.allowed != decision.next_step.text.empty() || decision.reason.empty()) {
    throw Error(ErrorCode::internal, "the decision does not say what to do");
  }
  return out;
}

}  // namespace
}  // namespace bundle::release

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    try {
      std::cout << bundle::codec::dump_json(
                       bundle::release::answer(bundle::codec::parse_json(line, "row")))
                << "\n";
    } catch (const bundle::Error& error) {
      std::cerr << error.message() << " in " << line << "\n";
      return 1;
    }
  }
}
