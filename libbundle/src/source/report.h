// Small pieces that several reports share.
#pragma once

#include <chrono>

#include "bundle/import.h"
#include "source/open_bundle.h"

namespace bundle::source {

// The part of an import report that the signed documents give.
ImportPlanReport describe(const OpenedBundle& opened);

double seconds_since(std::chrono::steady_clock::time_point start);

}  // namespace bundle::source
