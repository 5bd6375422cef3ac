// What a site learns from a medium beside the release on it.
#pragma once

#include <string>
#include <vector>

#include "store/site_store.h"
#include "trust/trust_state.h"

namespace bundle::site {

// What was new to the site, for people: "revocation list 5", "channel stable: 1.5.0 (sequence 7)".
using Learned = std::vector<std::string>;

// channels/<product>/, where the newest pointer of each channel stands with its signatures.
Path channel_folder(const store::SiteStore& store, const std::string& product);

// Throws Error{statement_mismatch} when a carried pointer that is news names a revocation list that
// is neither carried nor here: someone has taken it from the medium. `state` may be null.
void check_news(const trust::TrustState* state, const trust::News& news);

// Keeps revocation lists, durably, and pointers. Older lists are passed over; so are older and
// expired pointers unless `strict`: then Error{rollback|expired}. The caller holds the lock and has
// followed the roots; pointers come last, so that a refused one holds nothing else up.
Learned learn_news(const store::SiteStore& store, trust::TrustState& state, const trust::News& news,
                   UnixTime now, bool strict);

// Throws unless the channel's carried pointer is fresh, no older than the site's, and points to
// this statement: Error{not_found|expired|rollback|revoked|statement_mismatch}.
void require_channel(const trust::TrustState* state, const trust::News& news,
                     const std::string& channel, const trust::VerifiedRelease& release,
                     UnixTime now);

}  // namespace bundle::site
