// Backups that the site's hooks take before an upgrade and put back with a rollback. What a hook is
// given and what it must do: docs/operator-guide.md, "Backup and restore".
//
//   STORE/backups/<name>/          made for one backup; what the hook leaves in it is its own
//   STORE/backups/<name>/backup.json   written when the hook has succeeded: only then it is one
//   STORE/restore-hooks/           programs that put a backup back, in the order of their names
#pragma once

#include <string>
#include <vector>

#include "release/preflight_hooks.h"
#include "store/site_store.h"

namespace bundle::site {

struct SiteBackup {
  std::string name;
  std::string release;  // that was live when it was taken
  std::string time;     // RFC 3339
};

Path backups_dir(const store::SiteStore& store);
Path restore_hooks_dir(const store::SiteStore& store);

// Oldest first. Folders without a readable backup.json are none.
std::vector<SiteBackup> list_backups(const store::SiteStore& store);
// `name` or "latest". Throws Error{not_found} naming those that there are, and Error{gate_refused}
// when it was not taken of `release`: it would not fit the release that the site goes back to.
SiteBackup find_backup(const store::SiteStore& store, const std::string& name,
                       const std::string& release);

// An empty folder of mode 0700 for a backup of `release`, named after it and the time.
Path begin_backup(const store::SiteStore& store, const std::string& release);
void finish_backup(const store::SiteStore& store, const Path& folder, const std::string& release,
                   const std::string& hook);
// After a hook that failed.
void drop_backup(const store::SiteStore& store, const Path& folder);

// Runs every restore hook until one fails. Throws Error{gate_refused} with what it said,
// Error{not_found} when there is none, Error{config_invalid} as find_hooks, Error{cancelled}.
void restore_backup(const store::SiteStore& store, const SiteBackup& backup,
                    const release::HookContext& context, Progress& progress, const Cancel& cancel);

}  // namespace bundle::site
