// The gate with the facts of a real site: what is in its store, its configuration, its hooks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bundle/site.h"
#include "release/gate.h"
#include "store/site_store.h"
#include "trust/trust_state.h"

namespace bundle::site {

// One question about one step. Not thread-safe.
class SiteGate {
 public:
  // Reads and verifies everything about the store; the candidate's own signature and documents must
  // be good. Throws as check_gate.
  SiteGate(std::shared_ptr<store::SiteStore> store, const std::string& version, bool rollback,
           const GateOptions& options);

  // The answer by the time (the clock's, or that of a time statement) and the disk of this moment.
  GateAnswer ask();
  // Runs every hook, in the order of their names, until one fails; ask() knows the results then.
  void run_hooks(Progress& progress, const Cancel& cancel);
  const std::vector<release::HookResult>& hooks() const { return facts_.hooks; }
  const release::SiteConfig& site() const { return site_; }
  const release::GateFacts& facts() const { return facts_; }

 private:
  void read_site(const GateOptions& options);
  void ask_cluster();
  void ask_values();
  void check_values(std::string_view text, const std::string& place);
  bool is_upgrade() const;
  release::HookResult run_one(const release::Hook& hook, const release::HookContext& context,
                              const Cancel& cancel);

  std::shared_ptr<store::SiteStore> store_;
  trust::TrustState trust_;
  std::vector<release::Hook> found_hooks_;
  release::SiteConfig site_;
  bool k8s_was_given_ = false;
  // YAML that the cluster has for the chart (ConfigMap bundle-site-values); empty: none.
  std::string cluster_values_;
  std::vector<std::string> value_notes_;
  release::GateFacts facts_;
};

// Whether a release may be brought in although the site has accepted a newer one: it is newer than
// the live release, and a newer one of the store, sound and not revoked, cannot be reached from the
// live one without a release in between. Throws as release::parse_manifest.
bool is_stepping_stone(const store::SiteStore& store, const trust::TrustState& state,
                       const release::Manifest& release);

std::string_view hook_state_name(release::HookState state);

}  // namespace bundle::site
