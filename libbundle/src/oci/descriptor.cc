#include "oci/descriptor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"

namespace bundle::oci {
namespace {

constexpr std::string_view kForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar";
constexpr std::string_view kNonDistributable =
    "application/vnd.oci.image.layer.nondistributable.v1.tar";
constexpr std::size_t kMaxPlatformPart = 64;

bool is_platform_part(std::string_view part) {
  return !part.empty() && part.size() <= kMaxPlatformPart && std::ranges::all_of(part, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

// The variant that no variant stands for (containerd platforms.Normalize).
std::string_view full_variant(const Platform& platform) {
  if (!platform.variant.empty()) return platform.variant;
  if (platform.architecture == "arm64") return "v8";
  if (platform.architecture == "arm") return "v7";
  if (platform.architecture == "amd64") return "v1";
  return {};
}

}  // namespace

bool is_valid_media_type(std::string_view text) {
  const auto is_name_char = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$&-^_.+").find(c) != std::string_view::npos;
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) return false;
  return text.size() <= kMaxMediaType && std::ranges::all_of(text.substr(0, slash), is_name_char) &&
         std::ranges::all_of(text.substr(slash + 1), is_name_char);
}

bool is_index_type(std::string_view type) {
  return type == media_type::kIndex || type == media_type::kDockerList;
}

bool is_manifest_type(std::string_view type) {
  return type == media_type::kManifest || type == media_type::kDockerManifest;
}

bool is_document_type(std::string_view type) {
  return is_index_type(type) || is_manifest_type(type);
}

bool is_image_config_type(std::string_view type) {
  return type == media_type::kConfig || type == media_type::kDockerConfig;
}

bool is_nondistributable_type(std::string_view type) {
  return type.starts_with(kNonDistributable) || type.starts_with(kForeignLayer);
}

Platform Platform::parse(std::string_view text) {
  std::array<std::string_view, 3> parts;
  std::size_t count = 0;
  std::string_view rest = text;
  for (;;) {
    const std::size_t slash = rest.find('/');
    if (count == parts.size() || !is_platform_part(rest.substr(0, slash))) {
      count = 0;
      break;
    }
    parts[count++] = rest.substr(0, slash);
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (count < 2) {
    throw Error(ErrorCode::usage, fmt::format("'{}' is not a platform", text.substr(0, 100)),
                "Write os/architecture or os/architecture/variant, such as linux/amd64.");
  }
  return {std::string(parts[0]), std::string(parts[1]), std::string(parts[2])};
}

std::string Platform::text() const {
  std::string text = os + "/" + architecture;
  if (!variant.empty()) text += "/" + variant;
  return text;
}

bool Platform::matches(const Platform& wanted) const {
  if (os != wanted.os || architecture != wanted.architecture) return false;
  return wanted.variant.empty() || full_variant(*this) == full_variant(wanted);
}

}  // namespace bundle::oci
