// Kubernetes manifests as text: the streams of YAML documents that a release carries.
#pragma once

#include <string_view>
#include <vector>

#include "codec/yaml.h"

namespace bundle::flux {

// Flux's own installation has some ten thousand lines.
inline constexpr std::size_t kMaxManifestText = 16 * 1024 * 1024;

bool is_yaml_file(std::string_view path);  // *.yaml, *.yml

// Throws Error{spec_invalid} with file:line:column, Error{limit}.
std::vector<codec::YamlDocument> parse_manifests(std::string_view text, std::string_view file);

// Every line with `spaces` before it, for a block scalar; empty lines stay empty.
std::string indent_lines(std::string_view text, std::size_t spaces);

}  // namespace bundle::flux
