#include "site/site_gate.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <utility>

#include "base/time.h"
#include "bundle/error.h"
#include "cluster/cluster_state.h"
#include "site/site_backup.h"
#include "site/site_values.h"
#include "source/site_release.h"

namespace bundle::site {
namespace {

using release::GateDirection;
using release::StoredRelease;

constexpr std::size_t kMaxReason = 512;
// Of the ConfigMap with the site's own values, which the release's HelmRelease names.
constexpr std::string_view kValuesName = "bundle-site-values";

std::string this_platform() {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"}};
  struct utsname machine {};
  ::uname(&machine);
  const std::string_view name = &machine.machine[0];
  for (const auto& [kernel, oci] : kNames) {
    if (name == kernel) return fmt::format("linux/{}", oci);
  }
  return fmt::format("linux/{}", name);
}

void require_reason(const std::string& reason, std::string_view what) {
  const bool plain = std::ranges::all_of(
      reason, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; });
  const bool says_something = reason.find_first_not_of(' ') != std::string::npos;
  if (plain && says_something && reason.size() <= kMaxReason) return;
  throw Error(ErrorCode::usage, fmt::format("the reason for {} is not one line of text", what),
              "Say in one line why it cannot wait; it is written into the audit log.");
}

std::optional<release::K3sVersion> installed_k8s(const std::string& text) {
  if (text.empty()) return std::nullopt;
  auto version = release::K3sVersion::parse(text);
  if (version) return version;
  throw Error(ErrorCode::usage, fmt::format("'{}' is no k3s version", text),
              "Write it as `k3s --version` does, like v1.31.6+k3s1.");
}

// A release that no step may lead over, with the reason in the place of the vendor's.
std::optional<std::string> why_unusable(const store::SiteStore& store,
                                        const trust::TrustState& state,
                                        const std::string& version) {
  try {
    state.check_revoked(source::verify_release(store, state, version));
    return std::nullopt;
  } catch (const Error& error) {
    return error.message();
  }
}

// Every release of the store that can be read; `needed` must be among them.
std::vector<StoredRelease> read_releases(const store::SiteStore& store,
                                         const trust::TrustState& state,
                                         std::initializer_list<std::string_view> needed) {
  std::vector<StoredRelease> releases;
  for (const store::ReleaseInfo& info : store.releases()) {
    try {
      releases.push_back({source::read_manifest(store, info.version),
                          why_unusable(store, state, info.version),
                          source::absent_blobs(store, info.version).size()});
    } catch (const Error&) {
      // Damaged, or for newer tools: `verify` names it, and no step leads over it.
      if (std::ranges::find(needed, info.version) != needed.end()) throw;
    }
  }
  return releases;
}

ErrorCode refusal_code(const std::vector<release::GateFailure>& failures) {
  const auto failed = [&](std::string_view rule) {
    return std::ranges::find(failures, rule, &release::GateFailure::rule) != failures.end();
  };
  if (failed("revoked")) return ErrorCode::revoked;
  return failed("complete") ? ErrorCode::release_incomplete : ErrorCode::gate_refused;
}

HookReport to_report(const release::HookResult& hook) {
  return {hook.name,   std::string(hook_state_name(hook.state)),
          hook.reason, hook.seconds,
          hook.output, hook.output_cut};
}

}  // namespace

bool is_stepping_stone(const store::SiteStore& store, const trust::TrustState& state,
                       const release::Manifest& release) {
  const auto version = store.active_version();
  const auto is_newer = [&](const store::ReleaseInfo& info) {
    return info.product == release.product && info.release_number > release.release_number;
  };
  if (!version || std::ranges::none_of(store.releases(), is_newer)) return false;
  const release::Manifest active = source::read_manifest(store, *version);
  if (active.product != release.product || !release::is_older(active, release)) return false;
  const std::vector<StoredRelease> stored = read_releases(store, state, {});
  std::vector<release::SemVer> known;
  for (const StoredRelease& other : stored) {
    if (other.manifest.product == active.product) {
      known.push_back(release::app_version(other.manifest));
    }
  }
  return std::ranges::any_of(stored, [&](const StoredRelease& target) {
    return target.usable() && target.manifest.product == active.product &&
           release::is_older(release, target.manifest) &&
           !release::has_way(
               {active, target.manifest, stored, release::k8s_version(active), false, known});
  });
}

std::string_view hook_state_name(release::HookState state) {
  switch (state) {
    case release::HookState::passed:
      return "passed";
    case release::HookState::failed:
      return "failed";
    case release::HookState::timed_out:
      return "timed_out";
    case release::HookState::not_run:
      break;
  }
  return "not_run";
}

SiteGate::SiteGate(std::shared_ptr<store::SiteStore> store, const std::string& version,
                   bool rollback, const GateOptions& options)
    : store_(std::move(store)), trust_(store_->fs(), store_->trust_dir()) {
  if (options.outside_window) {
    require_reason(*options.outside_window, "going outside the maintenance window");
  }
  if (options.unhealthy) require_reason(*options.unhealthy, "changing a cluster that is not well");
  facts_.candidate = version;
  facts_.active = store_->active_version().value_or("");
  facts_.direction = rollback ? GateDirection::rollback : GateDirection::upgrade;
  facts_.app_only = options.app_only;
  facts_.installed_k8s = installed_k8s(options.k8s_version);
  k8s_was_given_ = facts_.installed_k8s.has_value();
  facts_.outside_window = options.outside_window.value_or("");
  facts_.unhealthy_reason = options.unhealthy.value_or("");
  facts_.restore = options.restore;

  store_->release(version);
  const trust::VerifiedRelease verified = source::verify_release(*store_, trust_, version);
  source::verify_documents(*store_, verified);
  facts_.store = read_releases(*store_, trust_, {facts_.candidate, facts_.active});
  const auto newest = trust_.releases().find(verified->product);
  if (newest != trust_.releases().end()) facts_.newest_known = newest->second.version;
  facts_.time_floor = trust_.time_floor();
  read_site(options);
}

void SiteGate::read_site(const GateOptions& options) {
  FileSystem& fs = store_->fs();
  const Path config = options.site.empty() ? store_->root() / "site.yaml" : options.site;
  release::SiteConfig& site = site_;
  if (!options.site.empty() || fs.status(config)) {
    site = release::parse_site_config(read_text_file(fs, config, release::kMaxSiteConfigBytes),
                                      config.string());
  }
  facts_.platform = site.platform.empty() ? this_platform() : site.platform;
  facts_.maintenance_windows = site.maintenance_windows;

  const Path hooks = options.hooks.empty() ? store_->root() / "hooks" : options.hooks;
  facts_.hooks_directory = hooks.string();
  if (options.hooks.empty() && !fs.status(hooks)) return;
  found_hooks_ = release::find_hooks(fs, hooks);
  for (const release::Hook& hook : found_hooks_) facts_.hooks.push_back(release::not_run(hook));
}

void SiteGate::run_hooks(Progress& progress, const Cancel& cancel) {
  const release::HookContext context{std::filesystem::absolute(store_->root()),
                                     facts_.active,
                                     facts_.candidate,
                                     site_.hook_time_limit,
                                     {}};
  for (std::size_t i = 0; i < found_hooks_.size(); ++i) {
    const release::Hook& hook = found_hooks_[i];
    progress.phase("preflight hook " + hook.name, 0);
    release::HookResult& result = facts_.hooks[i];
    result = run_one(hook, context, cancel);
    progress.note(fmt::format("preflight hook {}: {}", hook.name, hook_state_name(result.state)));
    if (!result.output.empty()) progress.note(result.output);
    if (result.state != release::HookState::passed) return;
  }
}

// The backup hook gets a folder of its own, which is a backup when the hook has succeeded.
release::HookResult SiteGate::run_one(const release::Hook& hook,
                                      const release::HookContext& context, const Cancel& cancel) {
  if (!hook.is_backup()) return release::run_hook(hook, context, cancel);
  release::HookContext with_backup = context;
  with_backup.backup = std::filesystem::absolute(begin_backup(*store_, facts_.active));
  release::HookResult result = release::run_hook(hook, with_backup, cancel);
  if (result.state == release::HookState::passed) {
    finish_backup(*store_, with_backup.backup, facts_.active, hook.name);
  } else {
    drop_backup(*store_, with_backup.backup);
  }
  return result;
}

bool SiteGate::is_upgrade() const {
  return facts_.direction == GateDirection::upgrade && !facts_.active.empty() &&
         facts_.active != facts_.candidate;
}

// Health, and the oldest Kubernetes that a node runs.
void SiteGate::ask_cluster() {
  if (!site_.cluster || !is_upgrade()) return;
  facts_.cluster_problems.clear();
  try {
    const Cancel never;
    cluster::KubeClient client(
        cluster::load_kubeconfig(store_->fs(), site_.cluster->kubeconfig, site_.cluster->context),
        never);
    const cluster::ClusterState state = cluster::read_state(client, site_.cluster->flux_namespace);
    facts_.cluster_problems = cluster::health_problems(state);
    const auto values = client.get(fmt::format("/api/v1/namespaces/{}/configmaps/{}",
                                               site_.cluster->flux_namespace, kValuesName));
    const codec::Json* data = values ? values->find("data") : nullptr;
    cluster_values_ = data == nullptr ? "" : data->string_or("values.yaml", "");
    if (k8s_was_given_) return;
    facts_.installed_k8s.reset();
    for (const cluster::Node& node : state.nodes) {
      const auto version = release::K3sVersion::parse(node.version);
      const auto& oldest = facts_.installed_k8s;
      if (version && (!oldest || compare(*version, *oldest) < 0)) facts_.installed_k8s = version;
    }
  } catch (const Error& error) {
    facts_.cluster_problems.push_back(error.message());
  }
}

void SiteGate::check_values(std::string_view text, const std::string& place) {
  const auto candidate = std::ranges::find(
      facts_.store, facts_.candidate, [](const StoredRelease& r) { return r.manifest.version; });
  try {
    const ValuesCheck check = check_site_values(*store_, candidate->manifest, text, place);
    std::ranges::copy(check.problems, std::back_inserter(facts_.value_problems));
    std::ranges::copy(check.notes, std::back_inserter(value_notes_));
  } catch (const Error& error) {
    facts_.value_problems.push_back(error.message());
  }
}

// Values that the site has set stay over an upgrade: does the next chart take them?
void SiteGate::ask_values() {
  facts_.value_problems.clear();
  value_notes_.clear();
  if (!is_upgrade()) return;
  const Path file = store_->root() / "values.yaml";
  if (store_->fs().status(file)) {
    check_values(read_text_file(store_->fs(), file, kMaxSiteValuesBytes), file.string());
  }
  if (!cluster_values_.empty()) {
    check_values(cluster_values_, fmt::format("ConfigMap {}", kValuesName));
  }
}

GateAnswer SiteGate::ask() {
  ask_cluster();
  ask_values();
  const UnixTime clock = current_time();
  facts_.now = trust_.site_time(clock);
  facts_.disk_free = store_->fs().free_bytes(store_->root());
  const release::GateDecision decision = release::may_activate(facts_);
  GateAnswer answer;
  answer.allowed = decision.allowed;
  answer.from = facts_.active;
  answer.to = facts_.candidate;
  answer.reason = decision.reason;
  answer.next_step = decision.next_step.text;
  answer.next_action = decision.next_step.action;
  answer.next_version = decision.next_step.version;
  answer.error = refusal_code(decision.failures);
  answer.rules.assign(decision.rules.begin(), decision.rules.end());
  for (const release::GateFailure& failure : decision.failures) {
    answer.refusals.push_back({std::string(failure.rule), failure.reason, failure.next_step});
  }
  for (const release::HookResult& hook : facts_.hooks) answer.hooks.push_back(to_report(hook));
  answer.notes = decision.notes;
  std::ranges::copy(value_notes_, std::back_inserter(answer.notes));
  if (facts_.now != clock) {
    answer.notes.push_back(
        fmt::format("by the vendor's time statement it is {}; the clock shows {}",
                    format_time(facts_.now), format_time(clock)));
  }
  answer.outside_window = decision.outside_window;
  return answer;
}

}  // namespace bundle::site
