// The time statement: the one way to go on at a site whose clock is wrong and cannot be set. Signed
// by the root role for one site, and good only while that site's clock shows a time between two
// readings. Format and reasons: docs/trust-model.md, "Time statement".
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"

namespace bundle::trust {

// The longest that one statement can reach: later the site asks for another one.
inline constexpr UnixTime kMaxClockWindow = UnixTime{31} * 24 * 60 * 60;

struct TimeStatement {
  std::string site;         // TrustState::site_id() of the one site that it is for
  UnixTime created = 0;     // the true time, when the site's clock showed clock_from
  UnixTime clock_from = 0;  // readings of the site's clock; not before, not from clock_until on
  UnixTime clock_until = 0;

  bool covers(UnixTime clock) const { return clock >= clock_from && clock < clock_until; }
  // The true time when the site's clock shows `clock`, which must be covered.
  UnixTime at(UnixTime clock) const { return created + (clock - clock_from); }

  bool operator==(const TimeStatement&) const = default;
};

// The exact bytes to sign. Throws Error{statement_invalid} for a field out of its range.
std::string encode_time(const TimeStatement& statement);
// As parse_statement, with kMaxTimeBytes.
TimeStatement parse_time_statement(std::string_view json, std::string_view what);

}  // namespace bundle::trust
