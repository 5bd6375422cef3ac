// What changes from one release to another, for people and for scripts.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bundle {

struct ReleaseChange {
  std::string kind;    // "image", "package", "chart", "k3s", "os", "file", "gate"
  std::string change;  // "added", "removed", "changed"
  std::string name;    // "docker.io/library/redis", "pkg:deb/debian/openssl"
  std::string from;    // versions, tags, digests; empty when added
  std::string to;      // empty when removed
  std::string text;    // in words
};

struct ReleaseDiff {
  std::string product;
  std::string from;  // versions
  std::string to;
  std::vector<ReleaseChange> changes;
  std::vector<std::string> notes;  // what could not be compared, and why
};

// Two bundles, each by its folders or volumes. As inspect_bundle it trusts nobody; packages are
// those of the SBOMs that the releases carry. Throws what inspect_bundle throws. Peak memory: about
// 200 MiB, and the SBOMs.
ReleaseDiff diff_bundles(const std::vector<std::filesystem::path>& from,
                         const std::vector<std::filesystem::path>& to);

}  // namespace bundle
