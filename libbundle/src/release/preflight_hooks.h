// Programs of the site that run before an upgrade: is the cluster healthy, take a backup. What they
// are given and what they may do: docs/operator-guide.md, "Preflight hooks".
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "io/file_system.h"

namespace bundle::release {

enum class HookState : std::uint8_t { not_run, passed, failed, timed_out };

struct Hook {
  std::string name;  // of the file: "50-backup.sh"
  Path path;
  // "backup", "50-backup" and "50-backup.sh" take the backup that a release may demand.
  bool is_backup() const;
};

struct HookResult {
  std::string name;
  bool is_backup = false;
  HookState state = HookState::not_run;
  std::string reason;  // why it failed, in words
  std::string output;  // UTF-8 without control characters but \n and \t
  bool output_cut = false;
  double seconds = 0;
};

// The hooks of a directory in the order of their names; files whose names begin with a dot are
// none. Throws Error{config_invalid} naming what must be put right: the directory and every hook
// must belong to root or to the calling user and be writable for nobody else, nobody else may be
// able to put another directory in place, and a hook is an executable plain file.
std::vector<Hook> find_hooks(FileSystem& fs, const Path& directory);

struct HookContext {
  Path store;
  std::string from;
  std::string to;
  std::chrono::seconds time_limit{};
  Path backup;  // folder that a backup is put into, or taken from; empty: the hook has none
};

inline constexpr std::size_t kMaxHookOutput = 64 * 1024;

// Runs one. A failure is a result; throws Error{cancelled} only.
HookResult run_hook(const Hook& hook, const HookContext& context, const Cancel& cancel);
// A hook that was not asked.
HookResult not_run(const Hook& hook);

}  // namespace bundle::release
