#include "release/naming.h"

#include <fmt/format.h>

#include <algorithm>

namespace bundle::release {
namespace {

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_allowed_separator(std::string_view run) {
  return run == "." || run == "_" || run == "__" ||
         run.find_first_not_of('-') == std::string_view::npos;
}

}  // namespace

std::string repository_component(std::string_view text) {
  std::string out;
  std::string run;  // what stands between two letters or digits
  for (const char raw : text) {
    const char c = to_lower(raw);
    if (!is_lower_or_digit(c)) {
      run.push_back(c);
      continue;
    }
    if (!run.empty() && !out.empty()) out += is_allowed_separator(run) ? run : "-";
    run.clear();
    out.push_back(c);
  }
  return out;
}

std::string file_repository(std::string_view product, std::string_view file_name) {
  return fmt::format("{}/files/{}", product, repository_component(file_name));
}

std::string chart_repository(std::string_view product, std::string_view chart_name) {
  return fmt::format("{}/charts/{}", product, repository_component(chart_name));
}

std::string release_repository(std::string_view product) {
  return fmt::format("{}/release", product);
}

std::string flux_repository(std::string_view product) {
  return fmt::format("{}/flux", product);
}

std::string version_tag(std::string_view version) {
  std::string tag(version);
  std::ranges::replace(tag, '+', '_');
  return tag;
}

}  // namespace bundle::release
