#include "site/site_backup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/time.h"
#include "bundle/error.h"
#include "codec/json.h"

namespace bundle::site {
namespace {

constexpr std::uint64_t kMaxRecordBytes = 16 * 1024;
constexpr std::string_view kRecord = "backup.json";

// "20260101T120000Z" of "2026-01-01T12:00:00Z": names sort by time and suit every file system.
std::string compact(std::string time) {
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  return time;
}

std::optional<SiteBackup> read_record(FileSystem& fs, const Path& folder) {
  if (!fs.status(folder / kRecord)) return std::nullopt;
  try {
    const codec::Json record =
        codec::parse_json(read_text_file(fs, folder / kRecord, kMaxRecordBytes), kRecord);
    return SiteBackup{folder.filename().string(), record.at("release").as_string(),
                      record.at("time").as_string()};
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

Path backups_dir(const store::SiteStore& store) {
  return store.root() / "backups";
}

Path restore_hooks_dir(const store::SiteStore& store) {
  return store.root() / "restore-hooks";
}

std::vector<SiteBackup> list_backups(const store::SiteStore& store) {
  std::vector<SiteBackup> backups;
  if (!store.fs().status(backups_dir(store))) return backups;
  for (const std::string& name : store.fs().list(backups_dir(store))) {
    if (auto backup = read_record(store.fs(), backups_dir(store) / name)) {
      backups.push_back(*std::move(backup));
    }
  }
  std::ranges::stable_sort(backups, {}, &SiteBackup::time);
  return backups;
}

SiteBackup find_backup(const store::SiteStore& store, const std::string& name,
                       const std::string& release) {
  const std::vector<SiteBackup> backups = list_backups(store);
  const SiteBackup* found = nullptr;
  std::vector<std::string> names;
  for (const SiteBackup& backup : backups) {
    names.push_back(backup.name);
    if (name == "latest" ? backup.release == release : backup.name == name) found = &backup;
  }
  if (found == nullptr) {
    throw Error(ErrorCode::not_found,
                name == "latest" ? fmt::format("no backup of release {} is here", release)
                                 : fmt::format("there is no backup '{}'", name),
                names.empty() ? "No backup hook has taken one (operator's guide, Backup and "
                                "restore)."
                              : fmt::format("There are: {}.", fmt::join(names, ", ")));
  }
  if (found->release != release) {
    throw Error(ErrorCode::gate_refused,
                fmt::format("backup {} was taken of release {}, and the site is to go back to {}",
                            name, found->release, release),
                fmt::format("Go back to {}, or name a backup of {}.", found->release, release));
  }
  return *found;
}

Path begin_backup(const store::SiteStore& store, const std::string& release) {
  const std::string name = compact(format_time(current_time())) + "-" + release;
  Path folder = backups_dir(store) / name;
  for (int more = 2; store.fs().status(folder); ++more) {
    folder = backups_dir(store) / fmt::format("{}.{}", name, more);
  }
  store.fs().create_directories(folder);
  std::filesystem::permissions(backups_dir(store), std::filesystem::perms::owner_all);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
  return folder;
}

void finish_backup(const store::SiteStore& store, const Path& folder, const std::string& release,
                   const std::string& hook) {
  // What the hook wrote is on the disk before the record says that it is a backup.
  store.fs().sync_file_system(folder);
  codec::Json record;
  record.set("release", release).set("time", format_time(current_time())).set("hook", hook);
  write_file_atomically(store.fs(), folder / kRecord, as_bytes(codec::dump_json(record) + "\n"));
  store.fs().sync_directory(backups_dir(store));
}

void drop_backup(const store::SiteStore& store, const Path& folder) {
  store.fs().remove_all(folder);
}

void restore_backup(const store::SiteStore& store, const SiteBackup& backup,
                    const release::HookContext& context, Progress& progress, const Cancel& cancel) {
  const Path folder = restore_hooks_dir(store);
  const auto hooks = store.fs().status(folder) ? release::find_hooks(store.fs(), folder)
                                               : std::vector<release::Hook>();
  if (hooks.empty()) {
    throw Error(ErrorCode::not_found,
                fmt::format("{} has no program that puts a backup back", folder.string()),
                "Put one there (operator's guide, Backup and restore), then run the same command "
                "again.");
  }
  release::HookContext with_backup = context;
  with_backup.backup = std::filesystem::absolute(backups_dir(store) / backup.name);
  for (const release::Hook& hook : hooks) {
    progress.phase("restore hook " + hook.name, 0);
    const release::HookResult result = release::run_hook(hook, with_backup, cancel);
    if (!result.output.empty()) progress.note(result.output);
    if (result.state == release::HookState::passed) continue;
    throw Error(ErrorCode::gate_refused,
                fmt::format("the restore hook {} {}", hook.name, result.reason),
                "Put right what its output says, then run the same command again.");
  }
}

}  // namespace bundle::site
