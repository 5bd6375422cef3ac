#include "flux/manifest_text.h"

#include <algorithm>

namespace bundle::flux {

bool is_yaml_file(std::string_view path) {
  return path.ends_with(".yaml") || path.ends_with(".yml");
}

std::vector<codec::YamlDocument> parse_manifests(std::string_view text, std::string_view file) {
  // Schemas of custom resources nest deeply.
  return codec::parse_yaml_stream(text, file, ErrorCode::spec_invalid,
                                  {kMaxManifestText, 128, 1'000'000});
}

std::string indent_lines(std::string_view text, std::size_t spaces) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) out.append(spaces, ' ').append(text.substr(0, end));
    out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace bundle::flux
