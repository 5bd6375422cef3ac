#include "release/preflight_hooks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "bundle/error.h"
#include "codec/utf8.h"
#include "io/process.h"

namespace bundle::release {
namespace {

constexpr std::uint32_t kWritableByOthers = 0022;
constexpr std::uint32_t kWritableByAll = 0002;
constexpr std::uint32_t kSticky = 01000;
constexpr std::uint32_t kExecutable = 0111;
constexpr std::string_view kSearchPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

[[noreturn]] void refuse(const Path& path, std::string_view problem, std::string hint) {
  throw Error(ErrorCode::config_invalid, fmt::format("{} {}", path.string(), problem),
              std::move(hint));
}

FileStatus status_of(FileSystem& fs, const Path& path) {
  const auto status = fs.status(path);
  if (status) return *status;
  throw Error(ErrorCode::not_found, fmt::format("there is no {}", path.string()),
              "Name the folder that has the hooks.");
}

// What it runs as, nobody but root and this user may decide.
void require_own(const Path& path, const FileStatus& status) {
  if (status.owner != 0 && status.owner != ::geteuid()) {
    refuse(path, fmt::format("belongs to user {}: hooks must be root's or your own", status.owner),
           fmt::format("Look at what is in it, then: chown root {}", path.string()));
  }
  if ((status.mode & kWritableByOthers) != 0) {
    refuse(path, "can be changed by other users",
           fmt::format("Look at what is in it, then: chmod go-w {}", path.string()));
  }
}

// Who can write a folder above can put another folder in place of ours, unless it is sticky.
void require_own_place(FileSystem& fs, const Path& directory) {
  for (Path path = directory.parent_path(); !path.empty(); path = path.parent_path()) {
    const FileStatus status = status_of(fs, path);
    if ((status.mode & kWritableByAll) != 0 && (status.mode & kSticky) == 0) {
      refuse(path, "can be changed by everybody, and the hooks lie below it",
             fmt::format("Move the hooks to another place, or: chmod o-w {}", path.string()));
    }
    if (path == path.parent_path()) return;
  }
}

void require_program(const Path& path, const FileStatus& status) {
  if (status.kind != FileKind::regular) {
    refuse(path, "is not a plain file", "Copy the program itself to there.");
  }
  require_own(path, status);
  if ((status.mode & kExecutable) == 0) {
    refuse(path, "is not executable",
           fmt::format("chmod +x {}, or take it out of the folder.", path.string()));
  }
}

// Output goes to terminals, logs and JSON.
std::string printable(std::string text) {
  for (auto bad = codec::find_invalid_utf8(text); bad; bad = codec::find_invalid_utf8(text)) {
    text[*bad] = '?';
  }
  for (char& c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (control && c != '\n' && c != '\t') c = '?';
  }
  return text;
}

// The end of what it said, for the reason.
std::string last_words(std::string_view output) {
  constexpr std::size_t kMost = 512;
  while (output.ends_with('\n')) output.remove_suffix(1);
  if (output.size() > kMost) {
    output.remove_prefix(output.size() - kMost);
    output.remove_prefix(std::min(output.find('\n') + 1, output.size()));
    while (!output.empty() && (output.front() & '\xC0') == '\x80') output.remove_prefix(1);
  }
  return output.empty() ? std::string() : fmt::format("; it said: {}", output);
}

std::vector<std::string> environment_of(const Hook& hook, const HookContext& context) {
  std::vector<std::string> environment = {
      std::string(kSearchPath),      "LANG=C.UTF-8",
      "BUNDLE_HOOK=" + hook.name,    "BUNDLE_STORE=" + context.store.string(),
      "BUNDLE_FROM=" + context.from, "BUNDLE_TO=" + context.to};
  if (!context.backup.empty()) environment.push_back("BUNDLE_BACKUP=" + context.backup.string());
  return environment;
}

}  // namespace

bool Hook::is_backup() const {
  std::string_view role = name;
  if (const auto word = role.find_first_not_of("0123456789");
      word != 0 && word < role.size() && role[word] == '-') {
    role.remove_prefix(word + 1);
  }
  return role.substr(0, role.find('.')) == "backup";
}

std::vector<Hook> find_hooks(FileSystem& fs, const Path& directory) {
  const Path place = real_path(directory);
  const FileStatus status = status_of(fs, place);
  if (status.kind != FileKind::directory) {
    refuse(place, "is not a folder", "Name the folder that has the hooks.");
  }
  require_own(place, status);
  require_own_place(fs, place);
  std::vector<Hook> hooks;
  for (const std::string& name : fs.list(place)) {
    if (name.starts_with('.')) continue;
    require_program(place / name, status_of(fs, place / name));
    hooks.push_back({name, place / name});
  }
  return hooks;
}

HookResult not_run(const Hook& hook) {
  HookResult result;
  result.name = hook.name;
  result.is_backup = hook.is_backup();
  return result;
}

HookResult run_hook(const Hook& hook, const HookContext& context, const Cancel& cancel) {
  HookResult result = not_run(hook);
  result.state = HookState::failed;
  try {
    ProcessResult run = run_process({{hook.path.string()},
                                     environment_of(hook, context),
                                     "/",
                                     context.time_limit,
                                     kMaxHookOutput},
                                    cancel);
    result.output = printable(std::move(run.output));
    result.output_cut = run.output_cut;
    result.seconds = std::chrono::duration<double>(run.duration).count();
    switch (run.end) {
      case ProcessResult::End::timed_out:
        result.state = HookState::timed_out;
        result.reason = fmt::format("did not end within {} s", context.time_limit.count());
        break;
      case ProcessResult::End::signalled:
        result.reason = fmt::format("was ended by signal {}", run.status);
        break;
      case ProcessResult::End::exited:
        if (run.status == 0) result.state = HookState::passed;
        if (run.status != 0) result.reason = fmt::format("ended with status {}", run.status);
        break;
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) throw;
    result.reason = error.message();
  }
  if (!result.reason.empty()) result.reason += last_words(result.output);
  return result;
}

}  // namespace bundle::release
