// Steps from one live release to another.
#include "site/activate.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "bundle/site.h"
#include "site/site_gate.h"
#include "site/upgrade_journal.h"
#include "source/site_release.h"
#include "store/store_writer.h"

namespace bundle::site {

using store::ReleaseInfo;
using store::SiteStore;
using store::StoreWriter;

std::string choose_rollback(const SiteStore& store) {
  const auto active = store.active_version();
  if (!active) {
    throw Error(ErrorCode::gate_refused,
                "no release is active, so there is nothing to roll back from",
                "Activate a release: bundle-import activate VERSION.");
  }
  const std::uint64_t number = store.release(*active).release_number;
  std::string chosen;
  for (const ReleaseInfo& info : store.releases()) {
    if (info.release_number < number) chosen = info.version;
  }
  if (chosen.empty()) {
    throw Error(ErrorCode::release_unknown,
                fmt::format("no release older than {} is in the store", *active),
                "Import the older release first.");
  }
  return chosen;
}

void require_allowed(const GateAnswer& answer) {
  if (!answer.allowed) throw Error(answer.error, answer.reason, answer.next_step);
}

void audit_hooks(StoreWriter& writer, const GateAnswer& answer) {
  codec::Json hooks = codec::Json::array();
  for (const HookReport& hook : answer.hooks) {
    codec::Json entry;
    entry.set("name", hook.name).set("state", hook.state);
    hooks.push_back(std::move(entry));
  }
  codec::Json event;
  event.set("from", answer.from).set("to", answer.to).set("hooks", std::move(hooks));
  writer.audit("preflight", std::move(event));
}

}  // namespace bundle::site

namespace bundle {
namespace {

using site::audit_hooks;
using site::choose_rollback;
using site::require_allowed;
using site::SiteGate;
using store::StoreWriter;

bool is_upgrade(const GateAnswer& answer, bool rollback) {
  return !rollback && !answer.from.empty() && answer.from != answer.to;
}

void audit_activation(StoreWriter& writer, const Activation& activation, bool rollback,
                      const GateOptions& options) {
  codec::Json event;
  event.set("from", activation.from);
  event.set("to", activation.to);
  if (activation.gate.outside_window) event.set("outside_window", *options.outside_window);
  if (options.unhealthy) event.set("unhealthy", *options.unhealthy);
  writer.audit(rollback ? "rollback" : "activate", std::move(event));
}

}  // namespace

Activation activate_release(const std::filesystem::path& root, const std::string& wanted,
                            bool rollback, const GateOptions& options, Progress& progress,
                            const Cancel& cancel) {
  const auto store = source::open_store(root);
  site::require_no_unfinished_upgrade(*store);
  StoreWriter writer(store);
  const std::string version = wanted.empty() ? choose_rollback(*store) : wanted;
  SiteGate gate(store, version, rollback, options);
  GateAnswer answer = gate.ask();
  require_allowed(answer);
  if (is_upgrade(answer, rollback) && !answer.hooks.empty()) {
    gate.run_hooks(progress, cancel);
    answer = gate.ask();
    audit_hooks(writer, answer);
    require_allowed(answer);
  }
  // The same one again completes an activation that was cut short.
  writer.activate(version);
  Activation activation{answer.from, version, std::move(answer)};
  if (activation.from != activation.to) audit_activation(writer, activation, rollback, options);
  return activation;
}

GateAnswer check_gate(const std::filesystem::path& root, const std::string& version, bool rollback,
                      const GateOptions& options, bool run_hooks, Progress& progress,
                      const Cancel& cancel) {
  const auto store = source::open_store(root);
  SiteGate gate(store, version.empty() ? choose_rollback(*store) : version, rollback, options);
  GateAnswer answer = gate.ask();
  if (run_hooks && answer.allowed && is_upgrade(answer, rollback)) {
    gate.run_hooks(progress, cancel);
    answer = gate.ask();
  }
  return answer;
}

}  // namespace bundle
