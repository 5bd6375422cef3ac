// Points in time as TUF metadata writes them: UTC, whole seconds, "2026-11-23T15:00:00Z".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bundle {

// Seconds since 1970-01-01T00:00:00Z.
using UnixTime = std::int64_t;

std::string format_time(UnixTime time);
// Exactly the form that format_time writes; nothing otherwise.
std::optional<UnixTime> parse_time(std::string_view text);

// The wall clock.
UnixTime current_time();
// SOURCE_DATE_EPOCH when the environment has it, else the wall clock.
// Throws Error{usage} when the variable is set but is no number.
UnixTime build_time();

}  // namespace bundle
