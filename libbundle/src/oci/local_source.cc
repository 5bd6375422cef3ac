#include <fmt/format.h>

#include <array>

#include "bundle/error.h"
#include "oci/docker_archive.h"
#include "oci/layout.h"

namespace bundle::oci {
namespace {

constexpr std::string_view kLayout = "oci";
constexpr std::string_view kLayoutArchive = "oci-archive";
constexpr std::string_view kDockerArchive = "docker-archive";

struct LocalReference {
  std::string_view transport;
  std::string_view path;
  std::string_view selector;  // after the path's colon
  std::optional<Digest> digest;
};

LocalReference split(std::string_view reference) {
  const std::size_t colon = reference.find(':');
  if (colon == std::string_view::npos) return {};
  LocalReference parts{reference.substr(0, colon), reference.substr(colon + 1), {}, {}};
  // A path may hold an @, a digest at the end is one only when it is well-formed.
  const std::size_t at = parts.path.rfind('@');
  if (at != std::string_view::npos && Digest::is_valid(parts.path.substr(at + 1))) {
    parts.digest = Digest::parse(parts.path.substr(at + 1));
    parts.path = parts.path.substr(0, at);
  }
  if (const std::size_t end = parts.path.find(':'); end != std::string_view::npos) {
    parts.selector = parts.path.substr(end + 1);
    parts.path = parts.path.substr(0, end);
    if (parts.selector.empty()) parts.path = {};  // "oci:dir:" is malformed
  }
  return parts;
}

bool is_local_transport(std::string_view transport) {
  return transport == kLayout || transport == kLayoutArchive || transport == kDockerArchive;
}

}  // namespace

bool is_local_reference(std::string_view reference) {
  return is_local_transport(split(reference).transport);
}

std::shared_ptr<ContentSource> open_local_source(FileSystem& fs, std::string_view reference,
                                                 const Path& base_dir) {
  const LocalReference parts = split(reference);
  const bool digest_fits = !parts.digest || parts.transport != kDockerArchive;
  if (!is_local_transport(parts.transport) || parts.path.empty() || !digest_fits) {
    throw Error(ErrorCode::usage,
                fmt::format("'{}' is no local image source", reference.substr(0, 300)),
                "Write oci:DIR:TAG, oci-archive:FILE:TAG or docker-archive:FILE:NAME:TAG; the path "
                "may not hold a colon, and @sha256:DIGEST goes with the first two only.");
  }
  const Path path = base_dir / Path(parts.path);
  std::string name(reference);
  if (parts.transport == kDockerArchive) {
    return open_docker_archive(fs, path, std::string(parts.selector), std::move(name));
  }
  const LayoutSelector selector{std::string(parts.selector), parts.digest};
  auto files = parts.transport == kLayout ? directory_files(fs, path) : archive_files(fs, path);
  return open_layout(std::move(files), selector, std::move(name));
}

}  // namespace bundle::oci
