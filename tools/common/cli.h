// What all command-line tools share: subcommands, messages, exit codes, signals, progress.
#pragma once

#include <cxxopts.hpp>
#include <functional>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "bundle/release_diff.h"

namespace bundle::tools {

// What a subcommand is given.
struct Invocation {
  const cxxopts::ParseResult& options;
  std::vector<std::string> arguments;  // positional ones
  bool json;
  Progress& progress;
  const Cancel& cancel;

  bool has(const std::string& name) const { return options.count(name) > 0; }
  std::string text(const std::string& name) const {
    return has(name) ? options[name].as<std::string>() : std::string();
  }
  // Exactly one positional argument, or a usage error that says what is missing.
  const std::string& only_argument(const std::string& what) const;
  // Required option.
  std::string required(const std::string& name) const;
};

// Thrown by a command that has printed its result already, also the one that is a refusal: nothing
// more is printed and the program ends with this status.
struct QuietExit {
  int status = 0;
};

struct Command {
  std::string name;       // one word, or two: "trust show"
  std::string arguments;  // "SRC... --store DIR"
  std::string summary;
  std::string examples;
  std::function<void(cxxopts::OptionAdder&)> add_options;
  std::function<void(const Invocation&)> run;
};

// Runs `argv[1]` of `commands`; returns the exit status (bundle/error.h). Prints errors as
//   PROGRAM: error: MESSAGE
//     next: HINT
// or, with --json, as one JSON object on standard output.
int run_tool(const std::string& program, const std::string& summary,
             const std::vector<Command>& commands, int argc, char** argv);

// One line each; "nothing changes" when there are none.
void print_changes(const std::vector<ReleaseChange>& changes);

// Prints an inventory as it is, or with --json as one object.
void print_inventory(const Invocation& call, const std::string& inventory);

// "4 GiB", "650M", "1000000": a size in bytes. Throws Error{usage}.
std::uint64_t parse_size(const std::string& text);
// "12.3 MiB".
std::string format_size(std::uint64_t bytes);

}  // namespace bundle::tools
