// mirror-sync: keeps site stores at the releases that channels of an origin stand at.
#include <fmt/format.h>

#include "bundle/error.h"
#include "bundle/json_report.h"
#include "bundle/mirror.h"
#include "common/cli.h"

namespace {

using bundle::tools::Command;
using bundle::tools::format_size;
using bundle::tools::Invocation;

void add_config(cxxopts::OptionAdder& add) {
  add("config", "what to mirror: mirror.yaml", cxxopts::value<std::string>());
}

void add_choice(cxxopts::OptionAdder& add) {
  add_config(add);
  add("store", "only this store or registry of the configuration; may be repeated",
      cxxopts::value<std::vector<std::string>>());
}

bundle::MirrorOptions mirror_options(const Invocation& call) {
  bundle::MirrorOptions options;
  options.config = call.required("config");
  if (call.has("store")) options.stores = call.options["store"].as<std::vector<std::string>>();
  return options;
}

void print_release(const bundle::MirroredRelease& release) {
  const std::string what = fmt::format("{}: {} {} of {}", release.store, release.channel,
                                       release.version, release.origin);
  if (release.state == "failed") {
    fmt::print("{}: FAILED: {}\n  next: {}\n", what, release.message, release.hint);
  } else if (release.state == "current") {
    fmt::print("{}: nothing new\n", what);
  } else if (release.to_registry) {
    fmt::print("{}: {}, {} {}\n", what, release.state, format_size(release.bytes_sent),
               release.state == "pending" ? "would be sent" : "sent");
  } else {
    fmt::print("{}: {}, {} new, {} {}\n", what, release.state, format_size(release.bytes_new),
               format_size(release.bytes_fetched),
               release.state == "pending" ? "would be fetched" : "fetched");
  }
  if (!release.removed.empty()) fmt::print("{}: removed {}\n", release.store, release.removed);
}

// Cron sends a mail for every line: without news there is none.
void print_report(const bundle::MirrorReport& report, bool everything) {
  for (const auto& release : report.releases) {
    if (everything || release.state != "current" || !release.removed.empty()) {
      print_release(release);
    }
  }
  for (const auto& note : report.notes) fmt::print("note: {}\n", note);
  if (everything && report.outside_window) {
    fmt::print("no window is open; --outside-window does not wait\n");
  }
}

void run(const Invocation& call) {
  bundle::MirrorOptions options = mirror_options(call);
  options.dry_run = call.has("dry-run");
  options.outside_window = call.has("outside-window");
  const auto report = bundle::run_mirror(options, call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
  } else {
    print_report(report, call.has("verbose") || options.dry_run);
  }
  if (report.exit_status() != 0) throw bundle::tools::QuietExit{report.exit_status()};
}

void check(const Invocation& call) {
  const auto report =
      bundle::check_mirror(mirror_options(call), call.has("repair"), call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
  } else {
    for (const auto& problem : report.problems) {
      fmt::print("{}: release {}: {} {}{}\n", problem.store, problem.release, problem.digest,
                 problem.problem, problem.repaired ? " (repaired)" : "");
    }
    fmt::print("{} blobs, {}; {} problems left\n", report.blobs, format_size(report.bytes),
               report.left());
  }
  if (report.left() > 0) {
    throw bundle::tools::QuietExit{bundle::exit_status(bundle::ErrorCode::store_corrupt)};
  }
}

void status(const Invocation& call) {
  const auto report = bundle::mirror_status(call.required("config"));
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  fmt::print("last run: {}, {:.1f} s\n", report.started, report.seconds);
  print_report(report, true);
}

std::vector<Command> commands() {
  return {
      {"run", "--config MIRROR.yaml", "fetch what is new; silent when nothing is",
       "  mirror-sync run --config /etc/mirror-sync/mirror.yaml\n"
       "  mirror-sync run --config mirror.yaml --dry-run\n",
       [](auto& add) {
         add_choice(add);
         add("dry-run", "only tell what would be fetched, in bytes");
         add("outside-window", "do not wait for a window of the configuration");
         add("v,verbose", "also tell what is up to date");
       },
       run},
      {"check", "--config MIRROR.yaml", "read every blob of the stores and compare",
       "  mirror-sync check --config mirror.yaml --repair\n",
       [](auto& add) {
         add_choice(add);
         add("repair", "fetch again what is damaged or missing");
       },
       check},
      {"status", "--config MIRROR.yaml", "what the last run found", "", add_config, status},
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bundle::tools::run_tool("mirror-sync", "keeps site stores up to date from origins",
                                 commands(), argc, argv);
}
