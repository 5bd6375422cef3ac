#include "common/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <sstream>

#include "bundle/error.h"
#include "bundle/json_report.h"
#include "common/console_progress.h"

#ifndef BUNDLE_VERSION
#error "the build sets BUNDLE_VERSION"
#endif

namespace bundle::tools {
namespace {

Cancel& global_cancel() {
  static Cancel cancel;
  return cancel;
}

extern "C" void on_stop_signal(int) {
  global_cancel().request();
}

void handle_signals() {
  global_cancel();  // constructed before a signal can come
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second one ends the program at once
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  static_cast<void>(::signal(SIGPIPE, SIG_IGN));
}

void print_overview(const std::string& program, const std::string& summary,
                    const std::vector<Command>& commands) {
  fmt::print("{} - {}\n\nusage: {} COMMAND [OPTIONS]\n\ncommands:\n", program, summary, program);
  for (const Command& command : commands) {
    fmt::print("  {:<16}  {}\n", command.name, command.summary);
  }
  fmt::print("\n'{0} COMMAND --help' tells more. Exit codes: errors.md in share/doc/bundle.\n",
             program);
}

void print_help(const std::string& program, const Command& command,
                const cxxopts::Options& options) {
  fmt::print("{} {} - {}\n", program, command.name, command.summary);
  fmt::print("{}", options.help());
  if (!command.examples.empty()) fmt::print("\nexamples:\n{}", command.examples);
}

int print_error(const std::string& program, const Error& error, bool json) {
  if (json) {
    fmt::print("{}\n", to_json(error));
  } else {
    fmt::print(stderr, "{}: error: {}\n", program, error.message());
    if (!error.hint().empty()) fmt::print(stderr, "  next: {}\n", error.hint());
  }
  return exit_status(error.code());
}

int run_command(const std::string& program, const Command& command, int argc, char** argv) {
  cxxopts::Options options(program + " " + command.name);
  options.custom_help(command.arguments).positional_help("");
  auto adder = options.add_options();
  command.add_options(adder);
  adder("json", "print the result as JSON");
  adder("q,quiet", "no progress");
  adder("h,help", "print this help");
  adder("arguments", "", cxxopts::value<std::vector<std::string>>());
  options.parse_positional({"arguments"});

  bool json = false;
  try {
    const auto parsed = options.parse(argc, argv);
    if (parsed.count("help") > 0) {
      print_help(program, command, options);
      return 0;
    }
    json = parsed.count("json") > 0;
    std::vector<std::string> arguments;
    if (parsed.count("arguments") > 0) {
      arguments = parsed["arguments"].as<std::vector<std::string>>();
    }
    const bool silent = json || parsed.count("quiet") > 0;
    const auto progress = silent ? nullptr : make_console_progress();
    Progress& shown = progress ? *progress : silent_progress();
    command.run({parsed, std::move(arguments), json, shown, global_cancel()});
    return 0;
  } catch (const cxxopts::exceptions::exception& error) {
    return print_error(program,
                       Error(ErrorCode::usage, error.what(),
                             fmt::format("See: {} {} --help", program, command.name)),
                       json);
  } catch (const QuietExit& exit) {
    return exit.status;
  } catch (const Error& error) {
    return print_error(program, error, json);
  } catch (const std::exception& error) {
    return print_error(program,
                       Error(ErrorCode::internal, fmt::format("unexpected: {}", error.what()),
                             "This is a bug. Nothing is lost: run the same command again; if it "
                             "happens again, send this message to the vendor."),
                       json);
  }
}

}  // namespace

const std::string& Invocation::only_argument(const std::string& what) const {
  if (arguments.size() != 1) {
    throw Error(ErrorCode::usage,
                fmt::format("exactly one {} is needed, {} were given", what, arguments.size()),
                "See --help.");
  }
  return arguments.front();
}

std::string Invocation::required(const std::string& name) const {
  if (!has(name))
    throw Error(ErrorCode::usage, fmt::format("--{} is missing", name), "See --help.");
  return text(name);
}

int run_tool(const std::string& program, const std::string& summary,
             const std::vector<Command>& commands, int argc, char** argv) {
  handle_signals();
  const std::string_view name = argc > 1 ? argv[1] : "--help";
  if (name == "--help" || name == "-h" || name == "help") {
    print_overview(program, summary, commands);
    return argc > 1 ? 0 : exit_status(ErrorCode::usage);
  }
  if (name == "--version") {
    fmt::print("{} {}\n", program, BUNDLE_VERSION);
    return 0;
  }
  auto command = std::ranges::find(commands, name, &Command::name);
  int words = 1;
  if (command == commands.end() && argc > 2) {
    command = std::ranges::find(commands, fmt::format("{} {}", name, argv[2]), &Command::name);
    words = 2;
  }
  if (command == commands.end()) {
    return print_error(program,
                       Error(ErrorCode::usage, fmt::format("there is no command '{}'", name),
                             fmt::format("See: {} --help", program)),
                       false);
  }
  return run_command(program, *command, argc - words, argv + words);
}

void print_changes(const std::vector<ReleaseChange>& changes) {
  for (const ReleaseChange& change : changes) fmt::print("  {}\n", change.text);
  if (changes.empty()) fmt::print("  nothing changes\n");
}

void print_inventory(const Invocation& call, const std::string& inventory) {
  if (!call.json) {
    fmt::print("{}", inventory);
    return;
  }
  std::istringstream lines(inventory);
  std::string digest;
  std::uint64_t size = 0;
  std::string items;
  while (lines >> digest >> size) {
    items += fmt::format("{}{{\"digest\": \"{}\", \"size\": {}}}", items.empty() ? "" : ",\n  ",
                         digest, size);
  }
  fmt::print("{{\"blobs\": [\n  {}\n]}}\n", items);
}

std::uint64_t parse_size(const std::string& text) {
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  std::string unit = text.substr(used);
  std::erase(unit, ' ');
  static constexpr std::array<std::string_view, 5> kUnits = {"", "K", "M", "G", "T"};
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    const std::string letter(kUnits[i]);
    const bool matches =
        unit == letter || (!letter.empty() && (unit == letter + "iB" || unit == letter + "B"));
    if (used > 0 && matches && value >= 0 && value < 1e18) return static_cast<std::uint64_t>(value);
    value *= 1024;
  }
  throw Error(ErrorCode::usage, fmt::format("'{}' is not a size", text),
              "Write it like 650M, 4G or 1000000.");
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace bundle::tools
