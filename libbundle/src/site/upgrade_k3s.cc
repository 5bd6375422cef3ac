#include "site/upgrade_k3s.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"
#include "release/upgrade_rules.h"
#include "source/site_release.h"

namespace bundle::site {
namespace {

using cluster::Machine;
using release::FileArtifact;

constexpr std::string_view kNodeStep = "k3s-node ";

std::string self_name(const release::K3sSettings& settings) {
  if (!settings.node.empty()) return settings.node;
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

// The binary of a release: "k3s", or "k3s-arm64" as upstream names it.
const FileArtifact& k3s_binary(const release::Manifest& manifest) {
  for (const FileArtifact& file : manifest.k8s_artifacts) {
    if (file.name == "k3s" ||
        (file.name.starts_with("k3s-") && file.name.find('.') == file.name.npos))
      return file;
  }
  throw Error(ErrorCode::manifest_invalid,
              fmt::format("release {} brings k3s {} but no file with the binary of it",
                          manifest.version, manifest.k8s_version),
              "Ask the vendor for a release with it (k8s.artifacts, name k3s); or upgrade with "
              "--app-only when the application runs on the present k3s.");
}

bool is_image_archive(const FileArtifact& file) {
  constexpr std::array<std::string_view, 8> kEndings = {".tar",  ".tar.gz",  ".tgz", ".tar.zst",
                                                        ".tzst", ".tar.bz2", ".tbz", ".tar.lz4"};
  return std::ranges::any_of(kEndings,
                             [&](std::string_view ending) { return file.name.ends_with(ending); });
}

cluster::K3sFile k3s_file(const store::SiteStore& store, const FileArtifact& file) {
  return {file.name, std::filesystem::absolute(store.blob_path(file.content)), file.content};
}

std::string machine_fact(std::size_t number) {
  return fmt::format("machine_{:03}", number);
}

std::vector<Machine> read_machines(const UpgradeJournal& journal) {
  std::vector<Machine> machines;
  for (std::size_t i = 0; journal.facts.contains(machine_fact(i)); ++i) {
    const std::string text = journal.fact(machine_fact(i));
    const auto first = text.find(' ');
    const auto second = text.find(' ', first + 1);
    if (first == text.npos || second == text.npos) {
      throw Error(ErrorCode::store_invalid, fmt::format("upgrade.json: '{}' is no machine", text));
    }
    const std::string address = text.substr(first + 1, second - first - 1);
    machines.push_back(
        {text.substr(0, first), address == "here" ? "" : address, text.substr(second + 1)});
  }
  return machines;
}

bool was_begun(const JournalStep& step) {
  return step.state == "begun" || step.state == "done";
}

}  // namespace

bool is_k3s_step(std::string_view name) {
  return name.starts_with("k3s-");
}

bool has_k3s_change(const UpgradeJournal& journal) {
  return journal.facts.contains("k3s_to");
}

bool k3s_goes_first(const UpgradeJournal& journal) {
  return journal.fact("k3s_order") == "first";
}

std::string plan_k3s(const store::SiteStore& store, const release::SiteConfig& site,
                     const K3sWish& wish, UpgradeJournal& journal, Progress& progress,
                     const Cancel& cancel) {
  const release::K3sVersion to = release::k8s_version(wish.to);
  if (wish.installed && compare(*wish.installed, to) == 0) return {};
  const std::string from = wish.installed ? wish.installed->text() : "";
  if (!site.k3s) {
    return fmt::format(
        "the release brings k3s {}, and k3s stays {}: site.yaml has no 'k3s', by which this "
        "program may change it",
        to.text(), from.empty() ? "as it is" : from);
  }
  k3s_binary(wish.to);
  std::vector<Machine> machines{{self_name(*site.k3s), "", "k3s"}};
  if (site.cluster && wish.installed) {
    cluster::ClusterWatch watch(store.fs(), *site.cluster, progress, cancel);
    machines = cluster::machines_of(cluster::read_nodes(watch.client()), machines.front().node);
  }
  journal.facts["k3s_from"] = from;
  journal.facts["k3s_to"] = to.text();
  // The other order is the one that the gate has allowed when this one is not.
  const bool old_runs_on_new =
      wish.from == nullptr || wish.to.gates.compatible(release::app_version(*wish.from), to);
  journal.facts["k3s_order"] = old_runs_on_new ? "first" : "last";
  for (std::size_t i = 0; i < machines.size(); ++i) {
    const Machine& machine = machines[i];
    journal.facts[machine_fact(i)] =
        fmt::format("{} {} {}", machine.node, machine.address.empty() ? "here" : machine.address,
                    machine.service);
  }
  return {};
}

std::vector<std::string> k3s_step_names(const UpgradeJournal& journal) {
  std::vector<std::string> names{"k3s-stage"};
  if (!journal.fact("k3s_from").empty()) names.emplace_back("k3s-snapshot");
  for (const Machine& machine : read_machines(journal)) {
    names.push_back(std::string(kNodeStep) + machine.node);
  }
  return names;
}

K3sSteps::K3sSteps(const store::SiteStore& store, const release::SiteConfig& site,
                   const UpgradeJournal& journal, Progress& progress, const Cancel& cancel)
    : journal_(journal),
      machines_(read_machines(journal)),
      commands_(site.k3s.value_or(release::K3sSettings{}), progress, cancel) {
  if (!site.k3s || machines_.empty()) {
    throw Error(ErrorCode::config_invalid, "site.yaml has no 'k3s' any more",
                "An upgrade of k3s is under way: put 'k3s' back into site.yaml.");
  }
  if (site.cluster) watch_.emplace(store.fs(), *site.cluster, progress, cancel);
  const release::Manifest to = source::read_manifest(store, journal.to);
  cluster::K3sChange change;
  change.from = journal.fact("k3s_from");
  change.to = journal.fact("k3s_to");
  change.binary = k3s_file(store, k3s_binary(to));
  for (const FileArtifact& file : to.k8s_artifacts) {
    if (is_image_archive(file)) change.images.push_back(k3s_file(store, file));
  }
  change.keep = std::filesystem::absolute(store.root() / "k3s" / journal.id);
  change.machines = machines_;
  track_.emplace(store.fs(), commands_, watch_ ? &*watch_ : nullptr, std::move(change));
}

std::vector<cluster::Action> K3sSteps::actions(const std::string& step) {
  if (step == "k3s-stage") return track_->stage();
  if (step == "k3s-snapshot") return track_->snapshot("before");
  for (const Machine& machine : machines_) {
    if (step == std::string(kNodeStep) + machine.node) return track_->change(machine);
  }
  throw Error(ErrorCode::store_invalid, fmt::format("upgrade.json: '{}' is no step", step));
}

std::vector<cluster::Action> K3sSteps::back() {
  std::vector<Machine> changed;
  bool saving = false;
  for (const JournalStep& step : journal_.steps) {
    saving = saving || (step.name == "k3s-snapshot" && step.state == "begun");
    for (const Machine& machine : machines_) {
      if (was_begun(step) && step.name == std::string(kNodeStep) + machine.node) {
        changed.push_back(machine);
      }
    }
  }
  if (changed.empty() && saving) return track_->start_again();
  return track_->back(changed, "before");
}

std::string K3sSteps::describe(const UpgradeJournal& journal, const std::string& step) {
  const std::string to = journal.fact("k3s_to");
  if (step == "k3s-stage")
    return fmt::format("put k3s {} and its images beside the present ones", to);
  if (step == "k3s-snapshot") return "save the datastore of k3s";
  return fmt::format("change k3s to {} on node {}", to, step.substr(kNodeStep.size()));
}

}  // namespace bundle::site
