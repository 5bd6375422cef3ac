// Pieces of a step between releases that `activate` and an upgrade share.
#pragma once

#include <string>

#include "bundle/site.h"
#include "store/store_writer.h"

namespace bundle::site {

// The newest release that is older than the live one. Throws Error{gate_refused|release_unknown}.
std::string choose_rollback(const store::SiteStore& store);
// Throws the refusal as an error.
void require_allowed(const GateAnswer& answer);
// What the hooks have done to the site is on record, whatever comes after.
void audit_hooks(store::StoreWriter& writer, const GateAnswer& answer);

}  // namespace bundle::site
