// The commands of the site that change its nodes: one door for everything that is run, so that a
// site, a test or an image can put its own programs there (site.yaml, k3s.commands).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "release/site_cluster.h"

namespace bundle::cluster {

// A machine that commands are run on.
struct Machine {
  std::string node;
  std::string address;  // of another machine; empty: this one
  std::string service;  // "k3s", "k3s-agent"
};

using Placeholders = std::map<std::string, std::string, std::less<>>;

// Not thread-safe. `progress` and `cancel` must outlive it.
class CommandRunner {
 public:
  CommandRunner(release::K3sSettings settings, Progress& progress, const Cancel& cancel)
      : settings_(std::move(settings)), progress_(progress), cancel_(cancel) {}

  // The command of this name with its placeholders filled in: those given, {binary}, {node},
  // {address}, {service}, {seconds}. For another machine it stands behind the remote command.
  release::CommandLine line(std::string_view name, const Machine& machine,
                            const Placeholders& more = {}) const;
  // The same for a command line that is none of the named ones.
  release::CommandLine on(const Machine& machine, const release::CommandLine& words) const;

  // Runs it and returns what it printed (64 KiB at most). Throws Error{io_error} with the end
  // of that, Error{cancelled}.
  std::string run(const release::CommandLine& words);

  const release::K3sSettings& settings() const { return settings_; }

 private:
  release::CommandLine fill(const release::CommandLine& words, const Machine& machine,
                            const Placeholders& more) const;

  release::K3sSettings settings_;
  Progress& progress_;
  const Cancel& cancel_;
};

// As a person would type it into a shell.
std::string shell_text(const release::CommandLine& words);

}  // namespace bundle::cluster
