#include "io/safe_path.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"

namespace bundle {
namespace {

constexpr std::size_t kMaxPath = 4096;

bool is_plain_component(std::string_view part) {
  return !part.empty() && part != "." && part != "..";
}

bool is_forbidden(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == 0x7F;
}

}  // namespace

bool is_safe_relative_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPath || std::ranges::any_of(path, is_forbidden)) {
    return false;
  }
  for (;;) {
    const std::size_t slash = path.find('/');
    if (!is_plain_component(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Path join_safely(const Path& root, std::string_view path, std::string_view what) {
  if (!is_safe_relative_path(path)) {
    throw Error(ErrorCode::unsafe_path,
                fmt::format("{}: the path '{}' could leave its directory", what, path),
                "Use a plain relative path without '..'.");
  }
  return root / Path(path);
}

}  // namespace bundle
