#include "bundle-import/upgrade.h"

#include <fmt/format.h>

#include "bundle/json_report.h"
#include "bundle/upgrade.h"

namespace bundle::tools {
namespace {

auto string_value() {
  return cxxopts::value<std::string>();
}

std::string_view tense(const UpgradeReport& report) {
  return report.outcome == "planned" ? "would " : "";
}

void print_steps(const UpgradeReport& report) {
  for (const UpgradeStepReport& step : report.steps) {
    fmt::print("  {:<8} {}{}\n", step.state, tense(report), step.text);
    for (const std::string& command : step.commands) fmt::print("             {}\n", command);
    if (!step.note.empty()) fmt::print("             {}\n", step.note);
  }
}

void print_report(const UpgradeReport& report) {
  print_hooks(report.gate);
  print_notes(report.gate.notes);
  print_notes(report.notes);
  print_steps(report);
  const std::string live = report.live.empty() ? "none" : report.live;
  if (report.outcome == "planned") {
    fmt::print("nothing was done; active: {}\n", live);
  } else if (report.outcome == "unchanged") {
    fmt::print("{} is active already\n", report.to);
  } else {
    const std::string before = report.live == report.from ? report.to : report.from;
    fmt::print("active: {} (was {})\n", live, before.empty() ? "none" : before);
  }
}

// The report is printed in either case; when the site is not where it should be, an error follows.
void show(const Invocation& call, const UpgradeReport& report) {
  if (call.json) {
    fmt::print("{}\n", to_json(report));
    if (!report.ok) throw QuietExit{exit_status(report.error)};
    return;
  }
  print_report(report);
  if (!report.ok) throw Error(report.error, report.reason, report.next_step);
}

void upgrade(const Invocation& call) {
  UpgradeOptions options;
  options.gate = gate_options(call);
  options.dry_run = call.has("dry-run");
  show(call, upgrade_site(call.required("store"), call.only_argument("version"), options,
                          call.progress, call.cancel));
}

void rollback(const Invocation& call) {
  const std::string version =
      call.arguments.empty() ? std::string() : call.only_argument("version");
  UpgradeOptions options;
  options.gate.k8s_version = call.text("k8s-version");
  options.gate.site = call.text("site");
  options.dry_run = call.has("dry-run");
  options.restore = call.text("restore");
  options.with_k3s = call.has("k3s");
  show(call, roll_back_site(call.required("store"), version, options, call.progress, call.cancel));
}

void add_common(cxxopts::OptionAdder& add) {
  add("store", "folder of the site store", string_value());
  add("dry-run", "only say what would be done");
}

}  // namespace

void add_gate_options(cxxopts::OptionAdder& add) {
  add("app-only", "Kubernetes stays as it is");
  add("k8s-version", "what the site runs (default: what its cluster says, or the active release)",
      string_value());
  add("site", "the site's configuration (default: STORE/site.yaml)", string_value());
  add("hooks", "folder of preflight hooks (default: STORE/hooks)", string_value());
  add("outside-window", "why it cannot wait for a maintenance window; goes on record",
      string_value());
  add("unhealthy", "why a cluster that is not well is no obstacle; goes on record", string_value());
}

GateOptions gate_options(const Invocation& call) {
  GateOptions options;
  options.app_only = call.has("app-only");
  options.k8s_version = call.text("k8s-version");
  options.site = call.text("site");
  options.hooks = call.text("hooks");
  if (call.has("outside-window")) options.outside_window = call.text("outside-window");
  if (call.has("unhealthy")) options.unhealthy = call.text("unhealthy");
  return options;
}

void print_notes(const std::vector<std::string>& notes) {
  for (const auto& note : notes) fmt::print("note: {}\n", note);
}

void print_hooks(const GateAnswer& answer) {
  for (const auto& hook : answer.hooks) {
    fmt::print("preflight hook {}: {}", hook.name, hook.state);
    fmt::print("{}\n", hook.state == "not_run" ? "" : fmt::format(", {:.1f} s", hook.seconds));
    std::string_view output = hook.output;
    while (!output.empty()) {
      const auto end = output.find('\n');
      fmt::print("    {}\n", output.substr(0, end));
      output.remove_prefix(end == std::string_view::npos ? output.size() : end + 1);
    }
    if (hook.output_cut) fmt::print("    ... (more is not shown)\n");
  }
}

void print_last_upgrade(const SiteUpgradeState& state) {
  if (state.direction.empty()) return;
  fmt::print("last {}: {} to {}, {}", state.direction, state.from.empty() ? "none" : state.from,
             state.to, state.state);
  fmt::print(", step {}, {}\n", state.step.empty() ? "none" : state.step, state.updated);
  if (!state.reason.empty()) fmt::print("  because: {}\n", state.reason);
  if (state.state != "running" && state.state != "going_back") return;
  fmt::print("  IT HAS NOT ENDED: if nobody is at it, run upgrade {} again, or rollback\n",
             state.to);
}

std::vector<Command> upgrade_commands() {
  return {
      {"upgrade", "VERSION --store DIR",
       "move the site to an imported release, wait until its cluster has followed, else go back",
       "  bundle-import upgrade 1.4.0 --store /var/lib/bundle --dry-run\n"
       "  bundle-import upgrade 1.4.0 --store /var/lib/bundle              also after a power cut\n"
       "  bundle-import upgrade 1.4.1 --store /var/lib/bundle --app-only\n",
       [](auto& add) {
         add_common(add);
         add_gate_options(add);
       },
       upgrade},
      {"rollback", "[VERSION] --store DIR",
       "go back to an older imported release, or undo an upgrade that was cut short",
       "  bundle-import rollback --store /var/lib/bundle\n"
       "  bundle-import rollback 1.3.0 --store /var/lib/bundle --restore latest\n",
       [](auto& add) {
         add_common(add);
         add("k8s-version",
             "what the site runs (default: what its cluster says, or the active release)",
             string_value());
         add("site", "the site's configuration (default: STORE/site.yaml)", string_value());
         add("restore", "also put this backup back, or the latest of that release", string_value());
         add("k3s", "undo the last upgrade with its change of k3s, by the snapshot before it");
       },
       rollback},
  };
}

}  // namespace bundle::tools
