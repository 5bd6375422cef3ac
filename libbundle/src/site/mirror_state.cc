#include "site/mirror_state.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "bundle/json_report.h"
#include "codec/json.h"

namespace bundle::site {
namespace {

using codec::Json;

constexpr std::string_view kReportName = "report.json";

std::optional<Json> read_json(FileSystem& fs, const Path& path) {
  if (!fs.status(path)) return std::nullopt;
  try {
    return codec::parse_json(read_text_file(fs, path, kMaxMirrorStateBytes), path.string(),
                             {kMaxMirrorStateBytes, 8});
  } catch (const Error&) {
    return std::nullopt;
  }
}

MirroredRelease read_release(const Json& json) {
  MirroredRelease release;
  release.origin = json.at("origin").as_string();
  release.channel = json.at("channel").as_string();
  release.store = json.at("store").as_string();
  release.version = json.at("version").as_string();
  release.state = json.at("state").as_string();
  release.bytes_fetched = json.at("bytes_fetched").as_size();
  release.bytes_new = json.at("bytes_new").as_size();
  release.removed = json.at("removed").as_string();
  release.exit_status = static_cast<int>(json.at("exit_status").as_int());
  release.message = json.at("message").as_string();
  release.hint = json.at("hint").as_string();
  if (const Json* to_registry = json.find("to_registry")) {
    release.to_registry = to_registry->as_bool();
    release.bytes_sent = json.at("bytes_sent").as_size();
  }
  return release;
}

std::string labels(const MirroredRelease& release) {
  return fmt::format("{{origin=\"{}\",channel=\"{}\",store=\"{}\"}}", release.origin,
                     release.channel, release.store);
}

}  // namespace

std::unique_ptr<FileLock> MirrorState::lock() {
  fs_.create_directories(folder_ / "channels");
  return fs_.lock(folder_ / ".lock");
}

Path MirrorState::channel_file(const std::string& origin, const std::string& channel) const {
  return folder_ / "channels" / fmt::format("{}_{}.json", origin, channel);
}

ChannelMemory MirrorState::recall(const std::string& origin, const std::string& channel) const {
  const auto json = read_json(fs_, channel_file(origin, channel));
  if (!json) return {};
  try {
    ChannelMemory memory;
    memory.config = json->at("config").as_string();
    memory.validator = {json->at("etag").as_string(), json->at("last_modified").as_string()};
    memory.expires = parse_time(json->at("expires").as_string()).value_or(0);
    for (const auto& [name, version] : json->at("stores").as_object()) {
      memory.stores[name] = version.as_string();
    }
    return memory;
  } catch (const Error&) {
    return {};
  }
}

void MirrorState::remember(const std::string& origin, const std::string& channel,
                           const ChannelMemory& memory) {
  Json stores = Json::object();
  for (const auto& [name, version] : memory.stores) stores.set(name, version);
  Json json;
  json.set("config", memory.config).set("etag", memory.validator.etag);
  json.set("last_modified", memory.validator.last_modified);
  json.set("expires", format_time(memory.expires)).set("stores", std::move(stores));
  write_file_atomically(fs_, channel_file(origin, channel), as_bytes(codec::dump_json(json)));
}

std::optional<MirrorReport> MirrorState::last_report() const {
  const auto json = read_json(fs_, folder_ / kReportName);
  if (!json) return std::nullopt;
  try {
    MirrorReport report;
    report.started = json->at("started").as_string();
    report.seconds = json->at("seconds").as_double();
    report.requests = json->at("requests").as_size();
    report.outside_window = json->at("outside_window").as_bool();
    for (const Json& item : json->at("releases").as_array()) {
      report.releases.push_back(read_release(item));
    }
    for (const Json& note : json->at("notes").as_array()) report.notes.push_back(note.as_string());
    return report;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void MirrorState::write_report(const MirrorReport& report) {
  write_file_atomically(fs_, folder_ / kReportName, as_bytes(to_json(report)));
}

std::string mirror_metrics(const MirrorReport& report) {
  std::string text = fmt::format(
      "# HELP mirror_sync_run_timestamp_seconds When the last run began.\n"
      "# TYPE mirror_sync_run_timestamp_seconds gauge\n"
      "mirror_sync_run_timestamp_seconds {}\n"
      "# HELP mirror_sync_run_seconds How long it took.\n"
      "# TYPE mirror_sync_run_seconds gauge\n"
      "mirror_sync_run_seconds {:.3f}\n"
      "# HELP mirror_sync_up_to_date 1 when the store has what the channel stands at.\n"
      "# TYPE mirror_sync_up_to_date gauge\n",
      parse_time(report.started).value_or(0), report.seconds);
  for (const MirroredRelease& release : report.releases) {
    text += fmt::format("mirror_sync_up_to_date{} {}\n", labels(release),
                        release.state == "failed" ? 0 : 1);
  }
  text +=
      "# HELP mirror_sync_fetched_bytes Bytes that the last run fetched.\n"
      "# TYPE mirror_sync_fetched_bytes gauge\n";
  for (const MirroredRelease& release : report.releases) {
    text += fmt::format("mirror_sync_fetched_bytes{} {}\n", labels(release), release.bytes_fetched);
  }
  return text;
}

}  // namespace bundle::site
