// The commands that move a site from one release to another.
#pragma once

#include <vector>

#include "bundle/site.h"
#include "common/cli.h"

namespace bundle::tools {

std::vector<Command> upgrade_commands();

// Options of the gate, which several commands have.
void add_gate_options(cxxopts::OptionAdder& add);
GateOptions gate_options(const Invocation& call);
void print_hooks(const GateAnswer& answer);
void print_notes(const std::vector<std::string>& notes);

// "upgrade from 1.0.0 to 1.1.0: rolled_back, ..." for status; nothing when there was none.
void print_last_upgrade(const SiteUpgradeState& state);

}  // namespace bundle::tools
