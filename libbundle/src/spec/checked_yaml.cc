#include "spec/checked_yaml.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "bundle/error.h"
#include "codec/json_pointer.h"
#include "codec/schema.h"

namespace bundle::spec {
namespace {

constexpr std::size_t kMaxShown = 20;

}  // namespace

codec::YamlDocument parse_checked_yaml(std::string_view text, const std::string& file,
                                       std::string_view schema, std::size_t max_bytes) {
  codec::YamlDocument document =
      codec::parse_yaml(text, file, ErrorCode::spec_invalid, {max_bytes});
  const auto violations = codec::Schema::builtin(schema).check(document.root());
  if (violations.empty()) return document;
  std::vector<std::string> lines;
  for (const codec::Violation& violation : violations) {
    if (lines.size() == kMaxShown) break;
    const auto tokens = codec::pointer_tokens(violation.pointer);
    const std::string key = tokens.empty() || violation.message.starts_with("unknown key")
                                ? std::string()
                                : violation.pointer.substr(1) + ": ";
    lines.push_back(
        fmt::format("{}: {}{}", document.where(violation.pointer), key, violation.message));
  }
  throw Error(ErrorCode::spec_invalid, fmt::format("{}", fmt::join(lines, "\n")),
              "Correct the named lines; docs/release-spec.md describes every key.");
}

}  // namespace bundle::spec
