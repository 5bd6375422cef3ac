// The command of bundle-import that fills a registry which the site runs already.
#pragma once

#include "common/cli.h"

namespace bundle::tools {

Command push_command();

}  // namespace bundle::tools
