// Relative paths that come from outside.
#pragma once

#include <string_view>

#include "io/file_system.h"

namespace bundle {

// True for a relative path of plain components: no "..", no ".", no empty component, no leading
// slash, no NUL, backslash or control character, no more than 4096 bytes.
bool is_safe_relative_path(std::string_view path);

// `root / path`; throws Error{unsafe_path} naming `what` when the path could leave `root`.
Path join_safely(const Path& root, std::string_view path, std::string_view what);

}  // namespace bundle
