// Credential helpers: programs "docker-credential-NAME" that answer on standard output.
// Source: docker/docker-credential-helpers, README ("Protocol").
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "bundle/error.h"
#include "codec/json.h"
#include "io/unique_fd.h"
#include "transfer/http_error.h"
#include "transfer/registry_credentials.h"

namespace bundle::transfer {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kMaxHelperOutput = 64 * 1024;
constexpr milliseconds kReapSlice{10};

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Pipe make_pipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(&ends[0], O_CLOEXEC) != 0) {
    throw Error(ErrorCode::io_error, fmt::format("cannot make a pipe: {}", strerror(errno)));
  }
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A running helper; killed when this goes before it has ended.
class Helper {
 public:
  Helper(std::string program, int in, int out) : program_(std::move(program)) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    char get[] = "get";
    char* const arguments[] = {program_.data(), &get[0], nullptr};
    const int failure =
        ::posix_spawnp(&pid_, program_.c_str(), &actions, nullptr, &arguments[0], environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failure == 0) return;
    throw Error(
        ErrorCode::config_invalid,
        fmt::format("cannot start the credential helper {}: {}", program_, strerror(failure)),
        "Install it, or take it out of the credential file (credHelpers, credsStore).");
  }
  ~Helper() {
    if (ended_) return;
    ::kill(pid_, SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
  }
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  // The exit status; nothing when it still runs at `until`.
  std::optional<int> wait(steady_clock::time_point until) {
    for (;;) {
      int status = 0;
      const pid_t got = ::waitpid(pid_, &status, WNOHANG);
      if (got == pid_) {
        ended_ = true;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
      }
      if (steady_clock::now() >= until) return std::nullopt;
      std::this_thread::sleep_for(kReapSlice);
    }
  }

 private:
  std::string program_;
  pid_t pid_ = -1;
  bool ended_ = false;
};

[[noreturn]] void time_out(const std::string& program) {
  throw Error(ErrorCode::timeout, fmt::format("the credential helper {} does not answer", program),
              "It may be waiting for a person. Run it by hand, or log in without it.");
}

std::string read_output(int fd, const std::string& program, steady_clock::time_point until) {
  std::string output;
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    pollfd entry{fd, POLLIN, 0};
    if (left <= milliseconds::zero()) time_out(program);
    if (::poll(&entry, 1, static_cast<int>(left.count())) <= 0) continue;
    char buffer[4096];
    const ssize_t count = ::read(fd, &buffer[0], sizeof buffer);
    if (count == 0) return output;
    if (count < 0 && errno != EINTR) {
      throw Error(ErrorCode::io_error, fmt::format("cannot read from {}", program));
    }
    if (count > 0) output.append(&buffer[0], static_cast<std::size_t>(count));
    if (output.size() > kMaxHelperOutput) {
      throw Error(ErrorCode::limit,
                  fmt::format("{} answers more than {} bytes", program, kMaxHelperOutput),
                  "This is no credential helper; check credHelpers and credsStore.");
    }
  }
}

// A server name is shorter than a pipe's buffer, so this does not block; a helper that ended
// already must not end us by SIGPIPE, so the pipe is filled before the helper starts.
void fill(int fd, const std::string& text) {
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw Error(ErrorCode::io_error, "cannot write to a pipe");
  }
}

Credentials parse_answer(const std::string& output, const std::string& program) {
  try {
    const codec::Json json = codec::parse_json(output, program);
    Credentials credentials;
    const std::string user = json.at("Username").as_string();
    const std::string secret = json.at("Secret").as_string();
    if (user == "<token>") {
      credentials.identity_token = secret;
    } else {
      credentials.username = user;
      credentials.password = secret;
    }
    return credentials;
  } catch (const Error&) {
    // The text is not shown: it may hold the secret.
    throw Error(ErrorCode::auth_failed,
                fmt::format("the credential helper {} gives no usable answer", program),
                "Log in again, or log in without it.");
  }
}

}  // namespace

std::optional<Credentials> run_credential_helper(const std::string& name, const std::string& server,
                                                 milliseconds time_limit) {
  const std::string program = "docker-credential-" + name;
  const auto until = steady_clock::now() + time_limit;
  Pipe input = make_pipe();
  Pipe output = make_pipe();
  fill(input.write_end.get(), server + "\n");
  input.write_end = UniqueFd();
  Helper helper(program, input.read_end.get(), output.write_end.get());
  output.write_end = UniqueFd();
  const std::string answer = read_output(output.read_end.get(), program, until);
  const std::optional<int> status = helper.wait(until);
  if (!status) time_out(program);
  if (*status == 0) return parse_answer(answer, program);
  if (answer.find("credentials not found") != std::string::npos) return std::nullopt;
  throw Error(
      ErrorCode::auth_failed,
      fmt::format("the credential helper {} failed: {}", program, printable_server_text(answer)),
      "Log in again, or log in without it.");
}

}  // namespace bundle::transfer
