// Commands for support: a file out of a release, and an archive about the site.
#pragma once

#include <vector>

#include "common/cli.h"

namespace bundle::tools {

std::vector<Command> support_commands();

}  // namespace bundle::tools
