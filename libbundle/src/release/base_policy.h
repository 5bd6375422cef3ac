// How old the base image of a release may be when the release is made and published: the key
// `os.basePolicy` of release.yaml and of the signed manifest. docs/release-spec.md, "Age of the
// base image".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "codec/json.h"

namespace bundle::release {

struct BasePolicy {
  UnixTime built = 0;              // of the base image
  std::uint32_t max_age_days = 0;  // older at publication is stale
  // Why it was taken although it was stale when the release was made; signed with the manifest.
  std::string stale_reason;

  bool is_stale(UnixTime now) const;
  // "was built 2026-10-01T00:00:00Z, 58 days ago; the policy allows 30 days"
  std::string describe(UnixTime now) const;
  bool operator==(const BasePolicy&) const = default;
};

inline constexpr std::size_t kMaxStaleReasonBytes = 1024;

codec::Json to_json(const BasePolicy& policy);

// Reads what the schema of release-spec or release-manifest has accepted. Nothing when `built` is
// no day or time that there is.
std::optional<BasePolicy> read_base_policy(const codec::Json& json);

// The policy as a release that is made at `now` records it: with `reason` when the base is stale.
// `what` names the release in messages. Throws Error{gate_refused} for a stale base and no reason,
// Error{spec_invalid} for a base of the future.
BasePolicy accept_base(const BasePolicy& policy, UnixTime now, const std::string& reason,
                       std::string_view what);

// Whether `text` may be a reason: 1 to kMaxStaleReasonBytes of UTF-8, in one line, not blank.
bool is_stale_reason(std::string_view text);

// Throws Error{usage} unless empty or is_stale_reason().
void check_stale_reason(std::string_view text);

}  // namespace bundle::release
