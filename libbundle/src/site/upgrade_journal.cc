#include "site/upgrade_journal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/time.h"
#include "bundle/error.h"
#include "codec/json.h"

namespace bundle::site {
namespace {

using codec::Json;

constexpr std::uint64_t kMaxJournalBytes = 1024 * 1024;
constexpr int kIndent = 1;

Json to_json(const UpgradeJournal& journal) {
  Json steps = Json::array();
  for (const JournalStep& step : journal.steps) {
    Json entry;
    entry.set("name", step.name).set("state", step.state).set("time", step.time);
    entry.set("note", step.note);
    steps.push_back(std::move(entry));
  }
  Json facts = Json::object();
  for (const auto& [name, value] : journal.facts) facts.set(name, value);
  Json out;
  out.set("id", journal.id).set("direction", journal.direction).set("from", journal.from);
  out.set("to", journal.to).set("state", journal.state).set("reason", journal.reason);
  out.set("started", journal.started).set("updated", journal.updated);
  out.set("steps", std::move(steps)).set("facts", std::move(facts));
  return out;
}

UpgradeJournal from_json(const Json& json) {
  UpgradeJournal journal;
  journal.id = json.at("id").as_string();
  journal.direction = json.at("direction").as_string();
  journal.from = json.at("from").as_string();
  journal.to = json.at("to").as_string();
  journal.state = json.at("state").as_string();
  journal.reason = json.at("reason").as_string();
  journal.started = json.at("started").as_string();
  journal.updated = json.at("updated").as_string();
  for (const Json& step : json.at("steps").as_array()) {
    journal.steps.push_back({step.at("name").as_string(), step.at("state").as_string(),
                             step.at("time").as_string(), step.at("note").as_string()});
  }
  for (const auto& [name, value] : json.at("facts").as_object()) {
    journal.facts[name] = value.as_string();
  }
  return journal;
}

}  // namespace

bool UpgradeJournal::has_begun() const {
  return std::ranges::any_of(steps,
                             [](const JournalStep& step) { return step.state != "planned"; });
}

std::string UpgradeJournal::fact(std::string_view name) const {
  const auto found = facts.find(name);
  return found == facts.end() ? std::string() : found->second;
}

Path journal_path(const store::SiteStore& store) {
  return store.root() / "upgrade.json";
}

std::optional<UpgradeJournal> read_journal(const store::SiteStore& store) {
  const Path path = journal_path(store);
  if (!store.fs().status(path)) return std::nullopt;
  try {
    return from_json(codec::parse_json(read_text_file(store.fs(), path, kMaxJournalBytes),
                                       path.string(), {kMaxJournalBytes}));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::json_invalid) throw;
    throw Error(ErrorCode::store_invalid,
                fmt::format("{} cannot be understood: {}", path.string(), error.message()),
                "It says how far an upgrade has come. Look at 'bundle-import status' for the live "
                "release, move the file away, and run the upgrade again.");
  }
}

void write_journal(const store::SiteStore& store, UpgradeJournal& journal) {
  journal.updated = format_time(current_time());
  write_file_atomically(store.fs(), journal_path(store),
                        as_bytes(codec::dump_json(to_json(journal), kIndent) + "\n"));
}

void require_no_unfinished_upgrade(const store::SiteStore& store) {
  const auto journal = read_journal(store);
  if (!journal || !journal->is_unfinished()) return;
  throw Error(ErrorCode::release_active,
              fmt::format("the {} from {} to {} has not ended", journal->direction,
                          journal->from.empty() ? "no release" : journal->from, journal->to),
              fmt::format("Let it go on: bundle-import upgrade {}; or undo it: bundle-import "
                          "rollback.",
                          journal->to));
}

}  // namespace bundle::site
