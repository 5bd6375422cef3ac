#include "release/release_diff.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "bundle/error.h"

namespace bundle::release {
namespace {

constexpr std::string_view kSbomType = "application/spdx+json";
constexpr std::size_t kMaxPurl = 1024;

using Values = std::map<std::string, std::string>;  // what it is now, by name

std::string in_words(const ReleaseChange& change) {
  if (change.change == "added") {
    return fmt::format("{} {} is new: {}", change.kind, change.name, change.to);
  }
  if (change.change == "removed") {
    return fmt::format("{} {} is gone (was {})", change.kind, change.name, change.from);
  }
  return fmt::format("{} {}: {} becomes {}", change.kind, change.name, change.from, change.to);
}

void compare(std::string_view kind, const Values& from, const Values& to,
             std::vector<ReleaseChange>& changes) {
  Values names = from;
  names.insert(to.begin(), to.end());
  for (const auto& [name, ignored] : names) {
    const auto before = from.find(name);
    const auto after = to.find(name);
    const std::string was = before == from.end() ? "" : before->second;
    const std::string is = after == to.end() ? "" : after->second;
    if (was == is) continue;
    const char* const change = before == from.end() ? "added"
                               : after == to.end()  ? "removed"
                                                    : "changed";
    ReleaseChange entry{std::string(kind), change, name, was, is, {}};
    entry.text = in_words(entry);
    changes.push_back(std::move(entry));
  }
}

std::string short_digest(const Digest& digest) {
  constexpr std::size_t kShown = 12;
  return digest.hex().substr(0, kShown);
}

Values gates_of(const Manifest& manifest) {
  Values values;
  const codec::Json gates = to_json(manifest.gates);
  if (gates.is_object()) {
    for (const auto& [name, value] : gates.as_object()) values[name] = codec::dump_json(value);
  }
  values["upgradeFrom"] = fmt::format("{}", fmt::join(manifest.upgrade_from, ", "));
  return values;
}

Values images_of(const Manifest& manifest) {
  std::map<std::string, std::set<std::string>> found;
  for (const Artifact& image : manifest.images) {
    found[image.registry + "/" + image.repository].insert(
        fmt::format("{} ({})", image.tag.empty() ? "by digest" : image.tag,
                    short_digest(image.descriptor.digest)));
  }
  Values values;
  for (const auto& [name, tags] : found) values[name] = fmt::format("{}", fmt::join(tags, ", "));
  return values;
}

Values files_of(const std::vector<FileArtifact>& files) {
  Values values;
  for (const FileArtifact& file : files) {
    values[file.name] = fmt::format("{} bytes ({})", file.size, short_digest(file.content));
  }
  return values;
}

Values packages_by_name(const PackageVersions& packages) {
  Values values;
  for (const auto& [name, versions] : packages) {
    values[name] = fmt::format("{}", fmt::join(versions, ", "));
  }
  return values;
}

}  // namespace

PackageVersions packages_of(std::string_view spdx) {
  constexpr std::string_view kStart = "\"pkg:";
  PackageVersions packages;
  std::size_t count = 0;
  for (auto at = spdx.find(kStart); at != spdx.npos; at = spdx.find(kStart, at)) {
    const auto end = spdx.find('"', at + 1);
    if (end == spdx.npos) break;
    std::string_view purl = spdx.substr(at + 1, end - at - 1);
    at = end;
    if (purl.size() > kMaxPurl) continue;
    if (++count > kMaxPackages) {
      throw Error(ErrorCode::limit,
                  fmt::format("the SBOM has more than {} packages", kMaxPackages));
    }
    purl = purl.substr(0, purl.find_first_of("?#"));
    const auto version = purl.rfind('@');
    packages[std::string(purl.substr(0, version))].insert(
        version == purl.npos ? "" : std::string(purl.substr(version + 1)));
  }
  return packages;
}

const Referrer* find_sbom(const Manifest& manifest) {
  if (!manifest.release_index) return nullptr;
  for (const Referrer& referrer : manifest.release_index->referrers) {
    if (referrer.descriptor.artifact_type == kSbomType) return &referrer;
  }
  return nullptr;
}

std::vector<ReleaseChange> changes_between(const DiffSide& from, const DiffSide& to) {
  const Manifest& a = from.manifest;
  const Manifest& b = to.manifest;
  std::vector<ReleaseChange> changes;
  compare("gate", gates_of(a), gates_of(b), changes);
  compare("k3s", {{a.k8s_distribution, a.k8s_version}}, {{b.k8s_distribution, b.k8s_version}},
          changes);
  const auto chart = [](const Manifest& manifest) {
    return Values{{manifest.chart.name,
                   fmt::format("{} ({})", manifest.chart.version,
                               short_digest(manifest.chart.artifact.descriptor.digest))}};
  };
  compare("chart", chart(a), chart(b), changes);
  compare("os", {{"base", a.os_base}}, {{"base", b.os_base}}, changes);
  compare("image", images_of(a), images_of(b), changes);
  for (const auto files : {&Manifest::os_artifacts, &Manifest::k8s_artifacts, &Manifest::files}) {
    compare("file", files_of(a.*files), files_of(b.*files), changes);
  }
  if (from.packages && to.packages) {
    compare("package", packages_by_name(*from.packages), packages_by_name(*to.packages), changes);
  }
  return changes;
}

}  // namespace bundle::release
