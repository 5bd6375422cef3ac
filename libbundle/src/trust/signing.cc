#include "trust/signing.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "codec/json.h"
#include "trust/carrier.h"
#include "trust/limits.h"
#include "trust/pointer.h"
#include "trust/revocation.h"
#include "trust/statement.h"
#include "trust/time_statement.h"

namespace bundle::trust {
namespace {

std::string document_type(std::string_view json, std::string_view what) {
  const codec::Json document =
      codec::parse_json(json, what, {.max_bytes = kMaxRevocationBytes, .max_depth = 8});
  const codec::Json* type = document.find("_type");
  return type != nullptr && type->is_string() ? type->as_string() : "";
}

}  // namespace

std::string trusted_comment(std::string_view json, std::string_view what) {
  const std::string type = document_type(json, what);
  if (type == "release") {
    const Statement it = parse_statement(json, what);
    return fmt::format("{} {} release {}", it.product, it.version, it.release_number);
  }
  if (type == "carrier") {
    return fmt::format("carrier of {}", parse_carrier(json, what).statement_digest.text());
  }
  if (type == "channel") {
    const ChannelPointer it = parse_pointer(json, what);
    return fmt::format("{} channel {} sequence {} release {}", it.product, it.channel, it.sequence,
                       it.release_version);
  }
  if (type == "revocations") {
    const RevocationList it = parse_revocations(json, what);
    return fmt::format("{} revocations {}", it.product, it.sequence);
  }
  if (type == "time") {
    const TimeStatement it = parse_time_statement(json, what);
    return fmt::format("time {} for site {}", format_time(it.created), it.site);
  }
  throw Error(ErrorCode::statement_invalid,
              fmt::format("{} is no statement, carrier, channel pointer, revocation list or time "
                          "statement",
                          what),
              "Name one of those, or a trust root (N.root.json).");
}

}  // namespace bundle::trust
