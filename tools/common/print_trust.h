// A trust root in words, for both tools.
#pragma once

#include "bundle/trust.h"

namespace bundle::tools {

void print_root(const TrustRootReport& root);

}  // namespace bundle::tools
