// Runs the external signing command. The only place of the library that starts a process for it.
#include "crypto/signing_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <thread>
#include <vector>

#include "bundle/error.h"
#include "io/unique_fd.h"

extern char** environ;

namespace bundle {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kCommentVariable = "BUNDLE_TRUSTED_COMMENT=";
// How often an ended output waits for the process itself to end.
constexpr std::chrono::milliseconds kWaitStep{5};

[[noreturn]] void fail_with_errno(std::string_view doing) {
  throw Error(
      ErrorCode::signer_failed,
      fmt::format("the signing command could not be run: {}: {}", doing, std::strerror(errno)),
      "Free memory, or end other programs, then try again.");
}

// The message as a seekable file in memory, at its start. A pipe would need a second thread to
// feed it, and minisign wants to seek.
UniqueFd message_file(ByteView message) {
  UniqueFd fd(::memfd_create("message", MFD_CLOEXEC));
  if (!fd) fail_with_errno("memfd_create");
  while (!message.empty()) {
    const ssize_t count = ::write(fd.get(), message.data(), message.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_with_errno("write");
    message = message.subspan(static_cast<std::size_t>(count));
  }
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) fail_with_errno("lseek");
  return fd;
}

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_with_errno("pipe");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// This process's environment with the comment set.
class Environment {
 public:
  explicit Environment(std::string_view trusted_comment)
      : comment_(std::string(kCommentVariable) + std::string(trusted_comment)) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      if (!std::string_view(*entry).starts_with(kCommentVariable)) pointers_.push_back(*entry);
    }
    pointers_.push_back(comment_.data());
    pointers_.push_back(nullptr);
  }
  char* const* get() const { return pointers_.data(); }

 private:
  std::string comment_;
  std::vector<char*> pointers_;
};

// A started command. Its process group is killed and reaped unless wait_until() saw it end.
class Child {
 public:
  Child(std::string command, const UniqueFd& input, const UniqueFd& output, const UniqueFd& errors,
        std::string_view trusted_comment) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, output.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, errors.get(), STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    // Its own process group, so that the time limit ends what the shell started, too.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    std::string shell = "/bin/sh";
    std::string option = "-c";
    char* const arguments[] = {shell.data(), option.data(), command.data(), nullptr};
    const Environment environment(trusted_comment);
    const int result =
        ::posix_spawn(&pid_, shell.c_str(), &files, &attributes, arguments, environment.get());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (result != 0) {
      pid_ = -1;
      errno = result;
      fail_with_errno("posix_spawn");
    }
  }
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The wait status, or nothing when the time is over.
  std::optional<int> wait_until(Clock::time_point deadline) {
    while (true) {
      int status = 0;
      const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
      if (ended == pid_) {
        pid_ = -1;
        return status;
      }
      if (ended < 0 && errno != EINTR) fail_with_errno("waitpid");
      if (Clock::now() >= deadline) return std::nullopt;
      std::this_thread::sleep_for(kWaitStep);
    }
  }

 private:
  pid_t pid_ = -1;
};

// One output of the command; reading stops being kept past the limit.
struct Output {
  UniqueFd fd;
  std::size_t limit;
  std::string text;
  bool cut = false;

  // One read; closes at the end.
  void read_some() {
    char buffer[4096];
    const ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) return;
    if (count <= 0) {
      fd = UniqueFd();
      return;
    }
    const auto size = static_cast<std::size_t>(count);
    const std::size_t kept = std::min(size, limit - text.size());
    text.append(buffer, kept);
    cut = cut || kept < size;
  }
};

// Reads both outputs to their ends. False when the time is over.
bool drain(Output& out, Output& err, Clock::time_point deadline) {
  while (out.fd || err.fd) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd polled[2] = {{out.fd.get(), POLLIN, 0}, {err.fd.get(), POLLIN, 0}};
    if (::poll(polled, 2, static_cast<int>(std::min<long>(left, 1000))) < 0) {
      if (errno == EINTR) continue;
      fail_with_errno("poll");
    }
    if (polled[0].revents != 0) out.read_some();
    if (polled[1].revents != 0) err.read_some();
  }
  return true;
}

}  // namespace

void SigningCommand::fail(std::string_view problem, std::string_view command_output) const {
  std::string message = fmt::format("the signing command {}", problem);
  while (command_output.ends_with('\n')) command_output.remove_suffix(1);
  if (!command_output.empty()) message += fmt::format("; it said: {}", command_output);
  throw Error(ErrorCode::signer_failed, message,
              fmt::format("Run the command by hand with the same input. It must print {} and "
                          "nothing else.",
                          wanted));
}

std::string SigningCommand::run(ByteView message, std::string_view trusted_comment) const {
  const Clock::time_point deadline = Clock::now() + time_limit;
  const UniqueFd input = message_file(message);
  Pipe out_pipe = make_pipe();
  Pipe err_pipe = make_pipe();
  Child child(command, input, out_pipe.write_end, err_pipe.write_end, trusted_comment);
  out_pipe.write_end = UniqueFd();
  err_pipe.write_end = UniqueFd();
  Output out{std::move(out_pipe.read_end), max_output, {}};
  Output err{std::move(err_pipe.read_end), kMaxCommandMessage, {}};
  const bool drained = drain(out, err, deadline);
  const std::optional<int> status = drained ? child.wait_until(deadline) : std::nullopt;
  if (!status) {
    fail(fmt::format("did not end within {} seconds", time_limit.count() / 1000), err.text);
  }
  if (WIFSIGNALED(*status)) {
    fail(fmt::format("was ended by signal {}", WTERMSIG(*status)), err.text);
  }
  if (WEXITSTATUS(*status) != 0) {
    fail(fmt::format("ended with exit status {}", WEXITSTATUS(*status)), err.text);
  }
  if (out.cut) fail(fmt::format("printed more than {} bytes", max_output), err.text);
  return out.text;
}

}  // namespace bundle
