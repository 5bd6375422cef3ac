// The files schemas/*.schema.json, embedded at build time (schemas/embed.cmake writes the .cc).
#pragma once

#include <span>
#include <string_view>

namespace bundle::codec {

struct BuiltinSchema {
  std::string_view name;  // "release-spec" for schemas/release-spec.schema.json
  std::string_view text;
};

std::span<const BuiltinSchema> builtin_schemas();

}  // namespace bundle::codec
