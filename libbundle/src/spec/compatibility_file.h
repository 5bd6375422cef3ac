// The compatibility matrix as a file of its own, which the releases of a product share. Keys:
// docs/release-spec.md, "gates"; schemas/compatibility.schema.json.
#pragma once

#include <string>

#include "codec/yaml.h"
#include "io/file_system.h"

namespace bundle::spec {

inline constexpr std::size_t kMaxCompatibilityBytes = 256 * 1024;

// The file, whose `rows` are as `gates.compatibility` has them. Throws Error{spec_invalid} with
// file:line:column for what breaks the schema and for the matrix of another product,
// Error{not_found}, Error{limit}.
codec::YamlDocument load_compatibility(FileSystem& fs, const Path& file,
                                       const std::string& product);

}  // namespace bundle::spec
