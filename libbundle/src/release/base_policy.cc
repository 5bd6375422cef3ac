#include "release/base_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "codec/utf8.h"

namespace bundle::release {
namespace {

constexpr UnixTime kDay = UnixTime{24} * 60 * 60;

}  // namespace

bool BasePolicy::is_stale(UnixTime now) const {
  return now - built > UnixTime{max_age_days} * kDay;
}

std::string BasePolicy::describe(UnixTime now) const {
  return fmt::format("was built {}, {} days ago; the policy allows {}", format_time(built),
                     (now - built) / kDay, max_age_days);
}

codec::Json to_json(const BasePolicy& policy) {
  codec::Json out = codec::Json::object();
  out.set("built", format_time(policy.built));
  out.set("maxAgeDays", std::uint64_t{policy.max_age_days});
  if (!policy.stale_reason.empty()) out.set("staleReason", policy.stale_reason);
  return out;
}

std::optional<BasePolicy> read_base_policy(const codec::Json& json) {
  const auto built = parse_time(json.at("built").as_string());
  if (!built) return std::nullopt;
  return BasePolicy{*built, static_cast<std::uint32_t>(json.at("maxAgeDays").as_size()),
                    json.string_or("staleReason", "")};
}

BasePolicy accept_base(const BasePolicy& policy, UnixTime now, const std::string& reason,
                       std::string_view what) {
  if (policy.built > now + kDay) {
    throw Error(ErrorCode::spec_invalid,
                fmt::format("{}: os.basePolicy.built is {}, but it is {} now", what,
                            format_time(policy.built), format_time(now)),
                "Set it to the date of the base image, and check this machine's clock.");
  }
  BasePolicy accepted = policy;
  if (!policy.is_stale(now)) return accepted;
  accepted.stale_reason = reason;
  if (!reason.empty()) return accepted;
  throw Error(ErrorCode::gate_refused,
              fmt::format("{}: the base image {}", what, policy.describe(now)),
              "Build the OS image anew on a current base and set os.basePolicy.built to its date. "
              "If this release cannot wait: --stale-base REASON, which is signed with it.");
}

bool is_stale_reason(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  const auto is_blank = [](char c) { return c == ' '; };
  return text.size() <= kMaxStaleReasonBytes && !std::ranges::all_of(text, is_blank) &&
         std::ranges::none_of(text, is_control) && !codec::find_invalid_utf8(text);
}

void check_stale_reason(std::string_view text) {
  if (text.empty() || is_stale_reason(text)) return;
  throw Error(ErrorCode::usage, "the reason for a stale base cannot be signed as it is",
              fmt::format("Write one line of at most {} bytes.", kMaxStaleReasonBytes));
}

}  // namespace bundle::release
