#include "site/git_tree.h"

#include <fmt/format.h>

#include <filesystem>

#include "bundle/error.h"
#include "io/process.h"

namespace bundle::site {
namespace {

constexpr std::chrono::minutes kTimeLimit{10};
constexpr std::size_t kOutputLimit = 64 * 1024;

class Git {
 public:
  Git(const Path& folder, const GitCommit& commit, const Cancel& cancel)
      : folder_(std::filesystem::absolute(folder)), cancel_(cancel) {
    const auto program = find_program("git");
    if (!program) {
      throw Error(ErrorCode::not_found, "git is not on this machine",
                  "Install the package git, or take the state from the registry (without --git).");
    }
    program_ = program->string();
    const std::string time = fmt::format("{} +0000", commit.time);
    environment_ = {"GIT_CONFIG_NOSYSTEM=1",
                    "GIT_CONFIG_GLOBAL=/dev/null",
                    "GIT_TERMINAL_PROMPT=0",
                    "LC_ALL=C",
                    "HOME=/nonexistent",
                    "GIT_AUTHOR_NAME=bundle-import",
                    "GIT_AUTHOR_EMAIL=bundle-import@localhost",
                    "GIT_COMMITTER_NAME=bundle-import",
                    "GIT_COMMITTER_EMAIL=bundle-import@localhost",
                    "GIT_AUTHOR_DATE=" + time,
                    "GIT_COMMITTER_DATE=" + time};
  }

  ProcessResult try_run(std::initializer_list<std::string> arguments) const {
    ProcessRequest request;
    request.arguments = {program_,
                         "-c",
                         "core.hooksPath=/dev/null",
                         "-c",
                         "core.autocrlf=false",
                         "-c",
                         "core.excludesFile=/dev/null",
                         "-c",
                         "commit.gpgSign=false",
                         "-c",
                         "safe.directory=" + folder_.string()};
    request.arguments.insert(request.arguments.end(), arguments);
    request.environment = environment_;
    request.working_directory = folder_;
    request.time_limit = kTimeLimit;
    request.output_limit = kOutputLimit;
    return run_process(request, cancel_);
  }

  std::string run(std::initializer_list<std::string> arguments) const {
    const ProcessResult result = try_run(arguments);
    if (result.end == ProcessResult::End::exited && result.status == 0) return result.output;
    throw Error(
        ErrorCode::io_error,
        fmt::format("git {} in {} failed: {}", *arguments.begin(), folder_.string(), result.output),
        "Run the command by hand in that folder, or begin with a new one.");
  }

 private:
  Path folder_;
  const Cancel& cancel_;
  std::string program_;
  std::vector<std::string> environment_;
};

// True when the folder holds nothing yet.
bool require_ours(FileSystem& fs, const Path& folder) {
  const bool fresh = !fs.status(folder) || fs.list(folder).empty();
  if (fresh || fs.status(folder / ".git")) return fresh;
  throw Error(ErrorCode::usage,
              fmt::format("{} is neither empty nor a Git repository", folder.string()),
              "Name a new folder, or the repository that an earlier --git has made.");
}

void replace_work_tree(FileSystem& fs, const Path& folder, const oci::TextTree& tree) {
  for (const std::string& name : fs.list(folder)) {
    if (name != ".git") fs.remove_all(folder / name);
  }
  for (const auto& [path, text] : tree) {
    fs.create_directories((folder / path).parent_path());
    write_file_atomically(fs, folder / path, as_bytes(text));
  }
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::string commit_tree(FileSystem& fs, const Path& folder, const oci::TextTree& tree,
                        const GitCommit& commit, const Cancel& cancel) {
  const bool fresh = require_ours(fs, folder);
  fs.create_directories(folder);
  const Git git(folder, commit, cancel);
  if (fresh) git.run({"init", "--quiet"});
  // Also where there is no commit yet; what is in the work tree is replaced below.
  git.run({"symbolic-ref", "HEAD", "refs/heads/" + commit.branch});
  replace_work_tree(fs, folder, tree);
  git.run({"add", "--all", "--force"});
  const bool changed = git.try_run({"rev-parse", "--verify", "--quiet", "HEAD"}).status != 0 ||
                       !git.run({"status", "--porcelain"}).empty();
  if (changed) git.run({"commit", "--quiet", "--no-verify", "--message", commit.message});
  return first_line(git.run({"rev-parse", "HEAD"}));
}

}  // namespace bundle::site
