// Helm charts as OCI artifacts, as `helm push` makes them.
// Source: helm pkg/registry/{constants,client,chart}.go (types, config, annotations),
// pkg/ignore/rules.go (.helmignore), pkg/chart/loader/archive (limits).
#pragma once

#include <string>

#include "base/time.h"
#include "io/file_system.h"
#include "oci/artifact.h"

namespace bundle::oci {

inline constexpr std::uint64_t kMaxChartPacked = 64 * 1024 * 1024;     // the .tgz
inline constexpr std::uint64_t kMaxChartUnpacked = 100 * 1024 * 1024;  // Helm's own limit
inline constexpr std::size_t kMaxChartFiles = 16'384;
inline constexpr std::size_t kMaxChartDepth = 32;                // nested directories
inline constexpr std::uint64_t kMaxChartMetadata = 1024 * 1024;  // Chart.yaml
inline constexpr std::uint64_t kMaxHelmIgnore = 64 * 1024;       // .helmignore

struct ChartArtifact {
  Artifact artifact;
  std::string name;         // of Chart.yaml
  std::string version;      // of Chart.yaml, SemVer 2
  std::string app_version;  // of Chart.yaml; empty when absent
  std::string tag;          // version with + written as _ (a tag cannot hold +)
};

// A .tgz is taken unmodified and read once. A directory is packed: files sorted by path below
// "<chart name>/", mtime `created`, uid and gid 0, mode 0644 as Helm does, .helmignore honoured,
// any symlink refused. `created` is also the annotation of that name. Throws Error{spec_invalid}
// for what is no chart (no Chart.yaml, bad name or version),
// Error{unsafe_path|limit|archive_invalid|bomb|name_collision}.
// Peak memory: a directory's packed chart (kMaxChartPacked).
ChartArtifact pack_helm_chart(FileSystem& fs, const Path& chart, UnixTime created);

// The patterns of a .helmignore file with Helm's default ("templates/.?*").
class HelmIgnore {
 public:
  // `where` names the file in messages. Throws Error{spec_invalid} for "**".
  static HelmIgnore parse(std::string_view text, std::string_view where);
  // `path` is relative to the chart, '/' between parts.
  bool ignores(const std::string& path, bool directory) const;

 private:
  struct Rule {
    std::string pattern;
    bool negate = false;
    bool directories_only = false;
    bool whole_path = false;  // else the last part of the path is matched
  };
  std::vector<Rule> rules_;
};

}  // namespace bundle::oci
