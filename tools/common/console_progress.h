#pragma once

#include <memory>

#include "bundle/progress.h"

namespace bundle::tools {

// On a terminal: one line with share, rate and time left, rewritten a few times a second. Elsewhere
// (CI, a log): notes only.
std::unique_ptr<Progress> make_console_progress();

}  // namespace bundle::tools
