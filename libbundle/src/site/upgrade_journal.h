// What an upgrade has done so far: STORE/upgrade.json. Written whole and atomically at every step,
// it is what a call after a power cut goes by; the last one stays for `status`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/site_store.h"

namespace bundle::site {

struct JournalStep {
  std::string name;
  std::string state = "planned";  // then "begun", "done"; "undone" on the way back
  std::string time;
  std::string note;
};

struct UpgradeJournal {
  std::string id;         // of this step; also the name of its backup
  std::string direction;  // "upgrade", "rollback"
  std::string from;       // empty: none was live
  std::string to;
  std::string state;   // "running", "going_back"; ended: "done", "rolled_back", "failed"
  std::string reason;  // why it goes or went back, or failed
  std::string started;
  std::string updated;
  std::vector<JournalStep> steps;
  std::map<std::string, std::string, std::less<>> facts;  // "k3s_from", "snapshot", ...

  bool is_unfinished() const { return state == "running" || state == "going_back"; }
  // Something of it has reached the site.
  bool has_begun() const;
  std::string fact(std::string_view name) const;
};

Path journal_path(const store::SiteStore& store);
// Nothing when there was no upgrade yet. Throws Error{store_invalid} when it cannot be understood.
std::optional<UpgradeJournal> read_journal(const store::SiteStore& store);
void write_journal(const store::SiteStore& store, UpgradeJournal& journal);

// For whatever else would move the live release or remove one. Throws Error{release_active}.
void require_no_unfinished_upgrade(const store::SiteStore& store);

}  // namespace bundle::site
