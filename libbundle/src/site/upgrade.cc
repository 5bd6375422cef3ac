// The steps of an upgrade, forward and back, by the journal.
#include "bundle/upgrade.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "base/time.h"
#include "cluster/watch.h"
#include "site/activate.h"
#include "site/site_backup.h"
#include "site/site_gate.h"
#include "site/upgrade_journal.h"
#include "site/upgrade_k3s.h"
#include "source/site_release.h"
#include "store/store_writer.h"

namespace bundle {
namespace {

using site::JournalStep;
using site::SiteGate;
using site::UpgradeJournal;
using store::SiteStore;
using store::StoreWriter;

std::string name_of(const std::string& release) {
  return release.empty() ? "no release" : release;
}

std::string new_id(const std::string& from, const std::string& to) {
  return fmt::format("{}-{}-{}", current_time(), from.empty() ? "none" : from, to);
}

class SiteStep {
 public:
  SiteStep(const std::filesystem::path& root, const UpgradeOptions& options, Progress& progress,
           const Cancel& cancel)
      : store_(source::open_store(root)),
        options_(options),
        progress_(progress),
        cancel_(cancel),
        lock_(store_->fs().lock(store_->root() / ".upgrade.lock")) {}

  UpgradeReport upgrade(const std::string& version) {
    if (resume("upgrade", version)) return finish_report();
    prepare(version, false);
    return start();
  }

  UpgradeReport rollback(const std::string& wanted) {
    if (auto journal = unfinished()) {
      // Undoes an upgrade that was cut short; a rollback that was cut short goes on.
      const bool undo = journal->direction == "upgrade";
      const std::string& target = undo ? journal->from : journal->to;
      if (!wanted.empty() && wanted != target) site::require_no_unfinished_upgrade(*store_);
      journal_ = *std::move(journal);
      report_.resumed = true;
      read_site();
      if (options_.dry_run) return finish_report();
      if (undo && journal_.from.empty()) fail("it was given up; there is no release to go back to");
      if (undo && !journal_.from.empty()) {
        if (journal_.state == "running") journal_.reason = "it was given up";
        go_back();
        report_.ok = true;  // it is what was asked for
      }
      if (!undo) run();
      return finish_report();
    }
    if (options_.with_k3s) return rollback_with_k3s(wanted);
    prepare(wanted.empty() ? site::choose_rollback(*store_) : wanted, true);
    return start();
  }

 private:
  // Undoes the last upgrade as a whole: its snapshot fits that release and no other.
  UpgradeReport rollback_with_k3s(const std::string& wanted) {
    auto last = site::read_journal(*store_);
    const std::string live = store_->active_version().value_or("");
    const bool fits = last && last->direction == "upgrade" && last->state == "done" &&
                      last->to == live && site::has_k3s_change(*last) &&
                      (wanted.empty() || wanted == last->from);
    if (!fits) {
      throw Error(ErrorCode::gate_refused,
                  "the last step of this site was no upgrade that changed k3s, or it did not lead "
                  "from that release",
                  "Without --k3s the release goes back and k3s stays as it is.");
    }
    GateOptions gate_options = options_.gate;
    gate_options.k8s_version = last->fact("k3s_from");
    SiteGate gate(store_, last->from, true, gate_options);
    report_.gate = gate.ask();
    site::require_allowed(report_.gate);
    site_ = gate.site();
    journal_ = *std::move(last);
    if (options_.dry_run) return finish_report();
    journal_.reason = "it was taken back with k3s";
    go_back();
    report_.ok = true;
    return finish_report();
  }

  // --- beginning ---

  std::optional<UpgradeJournal> unfinished() const {
    auto journal = site::read_journal(*store_);
    if (!journal || !journal->is_unfinished()) return std::nullopt;
    return journal;
  }

  // Goes on with what was cut short. False: there is nothing to go on with.
  bool resume(const std::string& direction, const std::string& version) {
    auto journal = unfinished();
    if (!journal) return false;
    if (journal->direction != direction || journal->to != version) {
      site::require_no_unfinished_upgrade(*store_);
    }
    if (!journal->has_begun()) return false;  // nothing has happened: the gate is asked anew
    journal_ = *std::move(journal);
    report_.resumed = true;
    read_site();
    if (options_.dry_run) return true;
    progress_.note(fmt::format("going on with the {} from {} to {} that was cut short",
                               journal_.direction, name_of(journal_.from), journal_.to));
    if (journal_.state == "going_back") {
      go_back();
    } else {
      run();
    }
    return true;
  }

  void read_site() {
    const Path config =
        options_.gate.site.empty() ? store_->root() / "site.yaml" : options_.gate.site;
    if (options_.gate.site.empty() && !store_->fs().status(config)) return;
    site_ = release::parse_site_config(
        read_text_file(store_->fs(), config, release::kMaxSiteConfigBytes), config.string());
  }

  // Asks the gate and plans the steps. Throws when it refuses.
  void prepare(const std::string& version, bool rollback) {
    GateOptions gate_options = options_.gate;
    gate_options.restore = !options_.restore.empty();
    SiteGate gate(store_, version, rollback, gate_options);
    site_ = gate.site();
    report_.gate = gate.ask();
    site::require_allowed(report_.gate);
    journal_ = {};
    journal_.direction = rollback ? "rollback" : "upgrade";
    journal_.from = report_.gate.from;
    journal_.to = version;
    if (rollback && !options_.restore.empty()) {
      const auto backup = site::find_backup(*store_, options_.restore, version);
      journal_.facts["backup"] = backup.name;
      add_step("restore");
    }
    if (!rollback && !options_.gate.app_only) plan_k3s(gate);
    if (k3s_goes_first(journal_)) add_k3s_steps();
    add_step("pointer");
    if (site_.cluster) add_step("reconcile");
    if (!k3s_goes_first(journal_)) add_k3s_steps();
    if (!site_.cluster) {
      report_.notes.emplace_back(
          "no cluster is configured (site.yaml, cluster): the release becomes the live one, and "
          "nobody waits for Flux");
    }
    if (options_.dry_run || rollback || journal_.from.empty() || journal_.from == version) return;
    run_hooks(gate);
  }

  void plan_k3s(const SiteGate& gate) {
    const release::Manifest to = source::read_manifest(*store_, journal_.to);
    std::optional<release::Manifest> from;
    auto installed = gate.facts().installed_k8s;
    if (!journal_.from.empty()) {
      from = source::read_manifest(*store_, journal_.from);
      if (!installed) installed = release::k8s_version(*from);
    }
    const std::string note = site::plan_k3s(
        *store_, site_, {installed, from ? &*from : nullptr, to}, journal_, progress_, cancel_);
    if (!note.empty()) report_.notes.push_back(note);
    if (site::has_k3s_change(journal_)) {
      site::K3sSteps(*store_, site_, journal_, progress_, cancel_).require_room();
    }
  }

  void add_k3s_steps() {
    if (!site::has_k3s_change(journal_)) return;
    for (std::string& name : site::k3s_step_names(journal_)) add_step(std::move(name));
  }

  void run_hooks(SiteGate& gate) {
    if (report_.gate.hooks.empty()) return;
    gate.run_hooks(progress_, cancel_);
    report_.gate = gate.ask();
    StoreWriter writer(store_);
    site::audit_hooks(writer, report_.gate);
    site::require_allowed(report_.gate);
  }

  void add_step(std::string name) {
    journal_.steps.push_back({std::move(name), "planned", "", ""});
  }

  UpgradeReport start() {
    if (options_.dry_run) return finish_report();
    journal_.id = new_id(journal_.from, journal_.to);
    journal_.started = format_time(current_time());
    journal_.state = "running";
    save();
    run();
    return finish_report();
  }

  // --- forward ---

  void run() {
    for (JournalStep& step : journal_.steps) {
      if (step.state == "done") continue;
      mark(step, "begun");
      try {
        perform(step);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::cancelled) throw;
        report_.next_step = error.hint();
        report_.error = error.code();
        journal_.reason = fmt::format("{} failed: {}", step.name, error.message());
        if (may_go_back()) {
          go_back();
        } else {
          fail(journal_.reason);
        }
        return;
      }
      mark(step, "done");
    }
    end(journal_.direction == "rollback" ? "rolled_back" : "done");
    if (site::has_k3s_change(journal_)) clean_k3s();
  }

  // Old image archives cost time at each start of k3s, old snapshots disk, and nothing else.
  void clean_k3s() {
    try {
      site::K3sSteps steps(*store_, site_, journal_, progress_, cancel_);
      take(steps.clean());
    } catch (const Error& error) {
      report_.notes.push_back("old images and snapshots of k3s were not removed: " +
                              error.message());
    }
  }

  static void take(const std::vector<cluster::Action>& actions) {
    for (const cluster::Action& action : actions) action.run();
  }

  void perform(JournalStep& step) {
    if (step.name == "pointer") {
      move_pointer(journal_.from, journal_.to);
    } else if (step.name == "reconcile") {
      wait_for(journal_.to, "to");
    } else if (step.name == "restore") {
      restore();
    } else if (site::is_k3s_step(step.name)) {
      take(site::K3sSteps(*store_, site_, journal_, progress_, cancel_).actions(step.name));
    } else {
      throw Error(ErrorCode::unsupported, fmt::format("the step '{}' is not known", step.name),
                  "The upgrade was begun by a newer version of this program: use that one.");
    }
  }

  void move_pointer(const std::string& from, const std::string& to) {
    StoreWriter writer(store_);
    const std::string live = store_->active_version().value_or("");
    // The same one again completes an activation that was cut short.
    writer.activate(to);
    if (live == to) return;
    codec::Json event;
    event.set("from", from).set("to", to).set("upgrade", journal_.id);
    if (report_.gate.outside_window) event.set("outside_window", *options_.gate.outside_window);
    if (options_.gate.unhealthy) event.set("unhealthy", *options_.gate.unhealthy);
    const bool back = journal_.direction == "rollback" || journal_.state == "going_back";
    writer.audit(back ? "rollback" : "activate", std::move(event));
    progress_.note(fmt::format("{} is the live release (was {})", to, name_of(from)));
  }

  void wait_for(const std::string& version, std::string_view phase) {
    if (!site_.cluster) return;
    cluster::ClusterWatch watch(store_->fs(), *site_.cluster, progress_, cancel_);
    const auto served = cluster::served_digests(source::read_manifest(*store_, version));
    watch.wait_for_release(served, fmt::format("{}-{}", journal_.id, phase));
    report_.waited = true;
    if (!cluster::follows(watch.state(), served)) {
      report_.notes.emplace_back(
          "no source of Flux reads this release from the site's registry: only the health of the "
          "cluster was waited for");
    }
  }

  void restore() {
    const auto backup = site::find_backup(*store_, journal_.fact("backup"), journal_.to);
    site::restore_backup(*store_, backup,
                         {std::filesystem::absolute(store_->root()),
                          journal_.from,
                          journal_.to,
                          site_.hook_time_limit,
                          {}},
                         progress_, cancel_);
    StoreWriter writer(store_);
    codec::Json event;
    event.set("backup", backup.name).set("from", journal_.from).set("to", journal_.to);
    writer.audit("restore", std::move(event));
  }

  // --- back ---

  // Not from the first release, and not once the new one may have changed the data for good.
  bool may_go_back() const {
    if (journal_.direction == "rollback" || journal_.from.empty()) return false;
    if (journal_.from == journal_.to) return false;
    const auto reconcile = std::ranges::find(journal_.steps, "reconcile", &JournalStep::name);
    if (reconcile == journal_.steps.end() || reconcile->state == "planned") return true;
    const release::Manifest to = source::read_manifest(*store_, journal_.to);
    const auto first = release::SemVer::parse(to.gates.point_of_no_return);
    const auto from = release::SemVer::parse(journal_.from);
    return !first || !from || compare(*from, *first) >= 0;
  }

  void go_back() {
    journal_.state = "going_back";
    save();
    progress_.note(fmt::format("going back to {}: {}", journal_.from, journal_.reason));
    bool pointer_was_moved = false;
    bool k3s_is_back = false;
    for (JournalStep& step : journal_.steps | std::views::reverse) {
      if (step.name == "pointer" && step.state != "planned") pointer_was_moved = true;
      if (step.state == "planned" || step.state == "undone") continue;
      if (step.name == "pointer") move_pointer(journal_.to, journal_.from);
      if (site::is_k3s_step(step.name) && !k3s_is_back) {
        // All nodes at once: they share a datastore.
        site::K3sSteps steps(*store_, site_, journal_, progress_, cancel_);
        take(steps.back());
        k3s_is_back = true;
      }
      mark(step, "undone");
    }
    if (pointer_was_moved) wait_for_the_old_release();
    report_.ok = false;
    end("rolled_back");
  }

  // The release is the old one whatever the cluster says now; what it says goes into the report.
  void wait_for_the_old_release() {
    try {
      wait_for(journal_.from, "back");
    } catch (const Error& error) {
      if (error.code() == ErrorCode::cancelled) throw;
      journal_.reason += fmt::format("; after going back: {}", error.message());
    }
  }

  void fail(const std::string& reason) {
    journal_.reason = reason;
    report_.ok = false;
    end("failed");
  }

  // --- the record ---

  void save() { site::write_journal(*store_, journal_); }

  void mark(JournalStep& step, const char* state) {
    step.state = state;
    step.time = format_time(current_time());
    save();
  }

  void end(const char* state) {
    journal_.state = state;
    save();
    StoreWriter writer(store_);
    codec::Json event;
    event.set("id", journal_.id).set("direction", journal_.direction).set("from", journal_.from);
    event.set("to", journal_.to).set("outcome", state).set("reason", journal_.reason);
    writer.audit("upgrade", std::move(event));
  }

  std::string outcome() const {
    if (options_.dry_run) return "planned";
    if (journal_.state == "done") return journal_.from == journal_.to ? "unchanged" : "upgraded";
    return journal_.state;
  }

  static std::string describe(const UpgradeJournal& journal, const JournalStep& step) {
    if (step.name == "pointer") return fmt::format("make {} the live release", journal.to);
    if (step.name == "reconcile") {
      return fmt::format("wait until Flux and the nodes are at {}", journal.to);
    }
    if (step.name == "restore") {
      return fmt::format("put the backup {} back", journal.fact("backup"));
    }
    return site::K3sSteps::describe(journal, step.name);
  }

  std::vector<std::string> commands_of(const JournalStep& step) {
    std::vector<std::string> texts;
    if (!site::is_k3s_step(step.name) || !options_.dry_run) return texts;
    site::K3sSteps steps(*store_, site_, journal_, progress_, cancel_);
    for (const cluster::Action& action : steps.actions(step.name)) texts.push_back(action.text);
    return texts;
  }

  UpgradeReport finish_report() {
    report_.from = journal_.from;
    report_.to = journal_.to;
    report_.live = store_->active_version().value_or("");
    report_.outcome = outcome();
    report_.reason = journal_.reason;
    for (const JournalStep& step : journal_.steps) {
      report_.steps.push_back({step.name, describe(journal_, step), step.state, step.time,
                               step.note, commands_of(step)});
    }
    if (report_.ok) return std::move(report_);
    report_.reason =
        fmt::format("{} to {} did not come about: {}. The live release is {}", journal_.direction,
                    journal_.to, journal_.reason, name_of(report_.live));
    if (report_.next_step.empty()) {
      report_.next_step = "Put that right, then run the same command again.";
    }
    return std::move(report_);
  }

  std::shared_ptr<SiteStore> store_;
  const UpgradeOptions& options_;
  Progress& progress_;
  const Cancel& cancel_;
  std::unique_ptr<FileLock> lock_;
  release::SiteConfig site_;
  UpgradeJournal journal_;
  UpgradeReport report_;
};

}  // namespace

UpgradeReport upgrade_site(const std::filesystem::path& store, const std::string& version,
                           const UpgradeOptions& options, Progress& progress,
                           const Cancel& cancel) {
  return SiteStep(store, options, progress, cancel).upgrade(version);
}

UpgradeReport roll_back_site(const std::filesystem::path& store, const std::string& version,
                             const UpgradeOptions& options, Progress& progress,
                             const Cancel& cancel) {
  return SiteStep(store, options, progress, cancel).rollback(version);
}

}  // namespace bundle
