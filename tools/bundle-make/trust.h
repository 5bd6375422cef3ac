// The commands of bundle-make that are about trust.
#pragma once

#include <vector>

#include "bundle/make.h"
#include "common/cli.h"

namespace bundle::tools {

std::vector<Command> trust_commands();

// Options that say who signs: shared with make and sign.
void add_signing_options(cxxopts::OptionAdder& add);
SignWith signing(const Invocation& call);

}  // namespace bundle::tools
