// Private to the release room: a file of the release engineer, parsed and held against its schema.
#pragma once

#include <string>
#include <string_view>

#include "codec/yaml.h"

namespace bundle::spec {

// Throws Error{spec_invalid} that names file:line:column of what is wrong, Error{limit}.
codec::YamlDocument parse_checked_yaml(std::string_view text, const std::string& file,
                                       std::string_view schema, std::size_t max_bytes);

}  // namespace bundle::spec
