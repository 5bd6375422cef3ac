#include "flux/release_images.h"

#include "bundle/error.h"
#include "oci/reference.h"

namespace bundle::flux {
namespace {

std::optional<oci::ImageName> parse(std::string_view reference) {
  try {
    return oci::ImageName::parse_short(reference);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

void ReleaseImages::add(const release::Artifact& image) {
  const std::string repository = image.registry + "/" + image.repository;
  if (!image.tag.empty()) tagged_.emplace(repository + ":" + image.tag, image.descriptor.digest);
  pinned_.insert(repository + "@" + image.descriptor.digest.text());
  documents_.insert(image.descriptor.digest);
}

void ReleaseImages::add_local(const release::Artifact& artifact) {
  local_.emplace(artifact.repository, artifact.descriptor.digest);
}

std::optional<Digest> ReleaseImages::find(std::string_view reference) const {
  const auto name = parse(reference);
  if (!name) return std::nullopt;
  if (name->digest) {
    const bool here = pinned_.contains(name->repository_text() + "@" + name->digest->text()) ||
                      documents_.contains(*name->digest);
    return here ? name->digest : std::nullopt;
  }
  const auto at = tagged_.find(name->repository_text() + ":" + name->tag);
  return at == tagged_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<Digest> ReleaseImages::find_source(std::string_view url, std::string_view tag) const {
  constexpr std::string_view kScheme = "oci://";
  if (!url.starts_with(kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  const std::size_t slash = url.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  if (const auto at = local_.find(url.substr(slash + 1)); at != local_.end()) return at->second;
  return tag.empty() ? std::nullopt : find(std::string(url) + ":" + std::string(tag));
}

std::string pinned_reference(std::string_view reference, const Digest& digest) {
  return oci::ImageName::parse_short(reference).repository_text() + "@" + digest.text();
}

bool is_pinned(std::string_view reference) {
  const auto name = parse(reference);
  return name && name->digest;
}

}  // namespace bundle::flux
