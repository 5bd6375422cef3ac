// Runs another program under limits: of time, of output, and with nothing of ours but what it is
// given.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "io/file_system.h"

namespace bundle {

struct ProcessRequest {
  std::vector<std::string> arguments;    // [0] is the path of the program
  std::vector<std::string> environment;  // "NAME=value"; all that it gets
  Path working_directory = "/";
  std::chrono::milliseconds time_limit{};
  std::size_t output_limit = 0;  // bytes; what comes after them is read and dropped
};

struct ProcessResult {
  enum class End : std::uint8_t { exited, signalled, timed_out };
  End end = End::exited;
  int status = 0;      // exit status, or the signal's number
  std::string output;  // standard output and error, as they came
  bool output_cut = false;
  std::chrono::milliseconds duration{};
};

// Standard input is empty. The program runs in a process group of its own, which is killed at the
// time limit and also when the program itself has ended: nothing of it stays. (A child that makes
// itself a new session leaves the group, and is not waited for.)
// Throws Error{cancelled}, after the group was killed; Error{io_error} when it cannot be started.
// Thread-safe.
ProcessResult run_process(const ProcessRequest& request, const Cancel& cancel);

// The program that a shell would take for this name, from PATH; nothing when there is none.
std::optional<Path> find_program(const std::string& name);

}  // namespace bundle
