// The commands of bundle-import that are about trust.
#pragma once

#include <vector>

#include "common/cli.h"

namespace bundle::tools {

std::vector<Command> trust_commands();

}  // namespace bundle::tools
