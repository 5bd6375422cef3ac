// Programs that tests start: foreign tools and small servers.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

namespace bundle::testing {

struct ProgramResult {
  int status = -1;     // exit status; 128 + signal when killed
  std::string output;  // standard output and error together
};

// Runs to the end, or kills at the time limit (status 137).
ProgramResult run_program(const std::vector<std::string>& arguments,
                          std::chrono::seconds time_limit = std::chrono::seconds(60));

// True when `name` is found in PATH.
bool have_program(const std::string& name);

// A server in the background, ended with this object. Its output goes to `log`, a file.
class ChildProcess {
 public:
  ChildProcess(const std::vector<std::string>& arguments, const std::string& log);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

 private:
  pid_t pid_ = -1;
};

// A port of 127.0.0.1 that nobody listened on a moment ago.
int free_port();
// True once somebody listens there; false after the limit.
bool wait_for_port(int port, std::chrono::seconds limit = std::chrono::seconds(10));

}  // namespace bundle::testing
