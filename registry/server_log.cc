#include "registry/server_log.h"

#include <fmt/format.h>

#include "base/time.h"
#include "codec/json.h"

namespace bundle::registry {
namespace {

// Printable ASCII stays; anything else, quotes and backslashes become \xHH: one request is one
// line, and a terminal that shows the log obeys no client.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
      out.push_back(c);
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

void ServerLog::message(std::string_view text) const {
  if (form_ == LogForm::text) {
    write_line_("bundle-registry: " + std::string(text));
    return;
  }
  codec::Json line = codec::Json::object();
  line.set("time", format_time(current_time()));
  line.set("event", "message");
  line.set("message", text);
  write_line_(codec::dump_json(line));
}

void ServerLog::request(const RequestRecord& record) const {
  if (form_ == LogForm::text) {
    write_line_(fmt::format("{} {} \"{} {}\" {} {} {:.3f}ms \"{}\"{}", format_time(current_time()),
                            record.peer, printable(record.method), printable(record.target),
                            record.status, record.bytes,
                            static_cast<double>(record.duration_us) / 1000.0,
                            printable(record.user_agent), record.complete ? "" : " cut"));
    return;
  }
  codec::Json line = codec::Json::object();
  line.set("time", format_time(current_time()));
  line.set("event", "request");
  line.set("peer", record.peer);
  line.set("method", printable(record.method));
  line.set("target", printable(record.target));
  line.set("status", static_cast<std::int64_t>(record.status));
  line.set("bytes", record.bytes);
  line.set("durationUs", record.duration_us);
  line.set("userAgent", printable(record.user_agent));
  if (!record.user.empty()) line.set("user", record.user);
  line.set("complete", record.complete);
  write_line_(codec::dump_json(line));
}

}  // namespace bundle::registry
