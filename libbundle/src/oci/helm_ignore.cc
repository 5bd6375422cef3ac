#include <fmt/format.h>
#include <fnmatch.h>

#include "bundle/error.h"
#include "oci/helm_chart.h"

namespace bundle::oci {
namespace {

constexpr std::string_view kDefaultRule = "templates/.?*";
constexpr std::string_view kBlanks = " \t\r\v\f";

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string last_part(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace

HelmIgnore HelmIgnore::parse(std::string_view text, std::string_view where) {
  HelmIgnore ignore;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty() || line.front() == '#') continue;
    if (line.find("**") != std::string_view::npos || line.find('\0') != std::string_view::npos) {
      throw Error(ErrorCode::spec_invalid,
                  fmt::format("{}:{}: '{}' is not supported by Helm", where, number, line),
                  "Write one rule per directory level instead of **.");
    }
    Rule rule;
    rule.negate = line.starts_with('!');
    if (rule.negate) line.remove_prefix(1);
    rule.directories_only = line.ends_with('/');
    if (rule.directories_only) line.remove_suffix(1);
    rule.whole_path = line.find('/') != std::string_view::npos;
    if (line.starts_with('/')) line.remove_prefix(1);
    rule.pattern = std::string(line);
    ignore.rules_.push_back(std::move(rule));
  }
  ignore.rules_.push_back({std::string(kDefaultRule), false, false, true});
  return ignore;
}

// As Helm's Rules.Ignore: the first rule that decides wins, and a negated rule ignores what it does
// not match.
bool HelmIgnore::ignores(const std::string& path, bool directory) const {
  const std::string last = last_part(path);
  for (const Rule& rule : rules_) {
    const bool applies = !rule.directories_only || directory;
    const std::string& subject = rule.whole_path ? path : last;
    const bool matches =
        applies && ::fnmatch(rule.pattern.c_str(), subject.c_str(), FNM_PATHNAME) == 0;
    if (matches != rule.negate) return true;
  }
  return false;
}

}  // namespace bundle::oci
