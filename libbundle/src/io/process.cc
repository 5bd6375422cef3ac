#include "io/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "bundle/error.h"
#include "io/unique_fd.h"

namespace bundle {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPollSlice{20};

[[noreturn]] void fail(int error, const std::string& program) {
  throw Error(ErrorCode::io_error, fmt::format("cannot start {}: {}", program, strerror(error)),
              "Check that it is a program, or a script whose first line names its interpreter.");
}

// The C arrays of exec: pointers into `texts`, and a null pointer.
std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// What posix_spawn is told.
class SpawnSettings {
 public:
  SpawnSettings(const Path& directory, int output) {
    posix_spawn_file_actions_init(&files_);
    posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files_, output, STDERR_FILENO);
    posix_spawn_file_actions_addchdir_np(&files_, directory.c_str());
    posix_spawnattr_init(&attributes_);
    // Our tools ignore SIGPIPE; a script expects what a shell expects.
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnSettings() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&files_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  const posix_spawn_file_actions_t* files() const { return &files_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

// A started program and its group; both are gone when this goes.
class Child {
 public:
  Child(const ProcessRequest& request, int output) {
    const SpawnSettings settings(request.working_directory, output);
    const std::vector<char*> arguments = pointers_to(request.arguments);
    const std::vector<char*> environment = pointers_to(request.environment);
    const int failure = ::posix_spawn(&pid_, request.arguments.front().c_str(), settings.files(),
                                      settings.attributes(), arguments.data(), environment.data());
    if (failure != 0) fail(failure, request.arguments.front());
  }
  ~Child() { finish(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The program has ended; it is not reaped, so that its number still names its group.
  bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid_;
  }

  // Kills what is left of the group and gives the program's wait status.
  int finish() {
    if (pid_ <= 0) return status_;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status_;
  }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

// The reading end of a pipe without blocking; keeps what the limit allows.
class Output {
 public:
  Output(UniqueFd fd, std::size_t limit) : fd_(std::move(fd)), limit_(limit) {}

  void wait(milliseconds time) const {
    pollfd entry{fd_ ? fd_.get() : -1, POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(time.count()));
  }

  // Takes what is there, at most so much that the caller can look at the clock in between.
  void read_available() {
    constexpr int kReads = 64;
    char buffer[16 * 1024];
    for (int i = 0; fd_ && i < kReads; ++i) {
      const ssize_t count = ::read(fd_.get(), &buffer[0], sizeof buffer);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) {
        fd_ = UniqueFd();
        return;
      }
      const auto size = static_cast<std::size_t>(count);
      const std::size_t kept = std::min(size, limit_ - text_.size());
      text_.append(&buffer[0], kept);
      cut_ = cut_ || kept < size;
    }
  }

  std::string text_;
  bool cut_ = false;

 private:
  UniqueFd fd_;
  std::size_t limit_;
};

ProcessResult::End describe(int wait_status, int& status) {
  const bool signalled = WIFSIGNALED(wait_status);
  status = signalled ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
  return signalled ? ProcessResult::End::signalled : ProcessResult::End::exited;
}

}  // namespace

ProcessResult run_process(const ProcessRequest& request, const Cancel& cancel) {
  const auto start = steady_clock::now();
  int ends[2] = {-1, -1};
  if (::pipe2(&ends[0], O_CLOEXEC) != 0) fail(errno, request.arguments.front());
  UniqueFd write_end(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  Output output{UniqueFd(ends[0]), request.output_limit};
  Child child(request, write_end.get());
  write_end = UniqueFd();

  bool timed_out = false;
  while (!child.ended() && !timed_out) {
    cancel.check();
    output.wait(kPollSlice);
    output.read_available();
    timed_out = steady_clock::now() - start >= request.time_limit;
  }
  ProcessResult result;
  result.end = describe(child.finish(), result.status);
  if (timed_out) result.end = ProcessResult::End::timed_out;
  output.read_available();
  result.output = std::move(output.text_);
  result.output_cut = output.cut_;
  result.duration = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
  return result;
}

std::optional<Path> find_program(const std::string& name) {
  const char* const list = std::getenv("PATH");
  std::string_view rest = list == nullptr ? "/usr/local/bin:/usr/bin:/bin" : list;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const Path path = Path(rest.substr(0, end)) / name;
    // A relative entry would make it depend on where we stand.
    if (path.is_absolute() && std::filesystem::is_regular_file(path) &&
        ::access(path.c_str(), X_OK) == 0) {
      return path;
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

}  // namespace bundle
