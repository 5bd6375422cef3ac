#include "trust/time_statement.h"

#include <fmt/format.h>

#include "codec/json.h"
#include "trust/document.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

constexpr std::string_view kType = "time";

}  // namespace

std::string encode_time(const TimeStatement& statement) {
  codec::Json clock;
  clock.set("from", format_time(statement.clock_from));
  clock.set("until", format_time(statement.clock_until));
  codec::Json json = new_document(kType);
  json.set("site", statement.site);
  json.set("created", format_time(statement.created));
  json.set("clock", std::move(clock));
  std::string encoded = codec::canonical_json(json);
  parse_time_statement(encoded, "time statement");
  return encoded;
}

TimeStatement parse_time_statement(std::string_view json, std::string_view what) {
  const codec::Json document = parse_document(json, what, kType, kMaxTimeBytes);
  const Fields fields(document, std::string(what));
  const Fields clock = fields.object("clock");
  TimeStatement statement;
  statement.site = fields.name("site");
  statement.created = fields.time("created");
  statement.clock_from = clock.time("from");
  statement.clock_until = clock.time("until");
  if (statement.clock_until <= statement.clock_from ||
      statement.clock_until - statement.clock_from > kMaxClockWindow) {
    clock.fail("until", fmt::format("is not 1 second to {} days after \"from\"",
                                    kMaxClockWindow / (UnixTime{24} * 60 * 60)));
  }
  return statement;
}

}  // namespace bundle::trust
