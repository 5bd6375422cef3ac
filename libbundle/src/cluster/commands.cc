#include "cluster/commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "io/process.h"
#include "transfer/http_error.h"

namespace bundle::cluster {
namespace {

constexpr std::size_t kMaxOutput = 64 * 1024;
constexpr std::string_view kSearchPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string replace_all(std::string text, const std::string& what, const std::string& with) {
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// "/usr/bin/systemctl" of "systemctl".
std::string find_program(const std::string& name) {
  if (name.find('/') != name.npos) return name;
  std::string_view folders = kSearchPath.substr(kSearchPath.find('=') + 1);
  while (!folders.empty()) {
    const auto end = std::min(folders.find(':'), folders.size());
    const Path candidate = Path(folders.substr(0, end)) / name;
    std::error_code ignored;
    if (std::filesystem::exists(candidate, ignored)) return candidate.string();
    folders.remove_prefix(std::min(end + 1, folders.size()));
  }
  throw Error(ErrorCode::io_error, fmt::format("there is no program {}", name),
              "Install it, or name another one in site.yaml (k3s.commands).");
}

std::string last_words(std::string_view output) {
  while (output.ends_with('\n')) output.remove_suffix(1);
  constexpr std::size_t kMost = 300;
  if (output.size() > kMost) output.remove_prefix(output.size() - kMost);
  return output.empty() ? "" : "; it said: " + transfer::printable_server_text(output);
}

}  // namespace

std::string shell_text(const release::CommandLine& words) {
  std::string text;
  for (const std::string& word : words) {
    const bool plain = !word.empty() && std::ranges::all_of(word, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             std::string_view("-_./:=@+,%").find(c) != std::string_view::npos;
    });
    if (!text.empty()) text += ' ';
    text += plain ? word : "'" + replace_all(word, "'", "'\\''") + "'";
  }
  return text;
}

release::CommandLine CommandRunner::fill(const release::CommandLine& words, const Machine& machine,
                                         const Placeholders& more) const {
  Placeholders values = more;
  values.emplace("binary", settings_.binary.string());
  values.emplace("node", machine.node);
  values.emplace("address", machine.address);
  values.emplace("service", machine.service);
  values.emplace("seconds", std::to_string(settings_.time_limit.count()));
  release::CommandLine filled;
  for (std::string word : words) {
    for (const auto& [name, value] : values) word = replace_all(word, "{" + name + "}", value);
    filled.push_back(std::move(word));
  }
  return filled;
}

release::CommandLine CommandRunner::on(const Machine& machine,
                                       const release::CommandLine& words) const {
  if (machine.address.empty()) return words;
  release::CommandLine remote = fill(settings_.commands.at("remote"), machine, {});
  remote.push_back(shell_text(words));
  return remote;
}

release::CommandLine CommandRunner::line(std::string_view name, const Machine& machine,
                                         const Placeholders& more) const {
  return fill(settings_.commands.find(name)->second, machine, more);
}

std::string CommandRunner::run(const release::CommandLine& words) {
  progress_.note("run: " + shell_text(words));
  release::CommandLine arguments = words;
  arguments.front() = find_program(arguments.front());
  const ProcessResult result =
      run_process({arguments,
                   {std::string(kSearchPath), "LANG=C.UTF-8", "HOME=/root"},
                   "/",
                   settings_.time_limit,
                   kMaxOutput},
                  cancel_);
  if (result.end == ProcessResult::End::exited && result.status == 0) return result.output;
  const std::string how = result.end == ProcessResult::End::timed_out
                              ? fmt::format("did not end within {} s", settings_.time_limit.count())
                          : result.end == ProcessResult::End::signalled
                              ? fmt::format("was ended by signal {}", result.status)
                              : fmt::format("ended with status {}", result.status);
  throw Error(
      ErrorCode::io_error,
      fmt::format("the command '{}' {}{}", shell_text(words), how, last_words(result.output)),
      "Run it by hand to see what is wrong; then run the same upgrade again.");
}

}  // namespace bundle::cluster
