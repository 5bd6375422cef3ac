// The part of an upgrade that changes k3s: which steps there are is planned into the journal, and
// what a step does follows from the journal and the store, also after a power cut.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/k3s.h"
#include "release/manifest.h"
#include "release/site_config.h"
#include "site/upgrade_journal.h"

namespace bundle::site {

struct K3sWish {
  std::optional<release::K3sVersion> installed;  // nothing: there is none yet
  const release::Manifest* from = nullptr;       // the live release; null: none
  const release::Manifest& to;
};

// Puts the facts of a change into the journal when the release brings another k3s and the site lets
// this program change it; says in words why k3s stays otherwise (empty: it is the same).
// Throws Error{manifest_invalid} when the release has no k3s binary, Error{not_found}, and as the
// cluster's calls.
std::string plan_k3s(const store::SiteStore& store, const release::SiteConfig& site,
                     const K3sWish& wish, UpgradeJournal& journal, Progress& progress,
                     const Cancel& cancel);

bool has_k3s_change(const UpgradeJournal& journal);
// "k3s-stage", "k3s-snapshot", "k3s-node NAME"...
std::vector<std::string> k3s_step_names(const UpgradeJournal& journal);
// k3s moves before the application, because the old application runs on the new k3s.
bool k3s_goes_first(const UpgradeJournal& journal);
bool is_k3s_step(std::string_view name);

// A change that the journal has. Not thread-safe; arguments must outlive it.
class K3sSteps {
 public:
  K3sSteps(const store::SiteStore& store, const release::SiteConfig& site,
           const UpgradeJournal& journal, Progress& progress, const Cancel& cancel);

  std::vector<cluster::Action> actions(const std::string& step);
  // What leads back from the steps that the journal has as begun or done.
  std::vector<cluster::Action> back();
  std::vector<cluster::Action> clean() { return track_->clean(); }
  // Throws Error{no_space} when this machine's disks cannot take it.
  void require_room() const { track_->require_room(); }

  static std::string describe(const UpgradeJournal& journal, const std::string& step);

 private:
  const UpgradeJournal& journal_;
  std::vector<cluster::Machine> machines_;
  std::optional<cluster::ClusterWatch> watch_;
  cluster::CommandRunner commands_;
  std::optional<cluster::K3sTrack> track_;
};

}  // namespace bundle::site
