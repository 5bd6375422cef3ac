// Small pieces that several reports share.
#pragma once

#include <chrono>

#include "api/open_bundle.h"
#include "bundle/import.h"

namespace bundle::api {

// The part of an import report that the signed documents give.
ImportPlanReport describe(const OpenedBundle& opened);

double seconds_since(std::chrono::steady_clock::time_point start);

}  // namespace bundle::api
