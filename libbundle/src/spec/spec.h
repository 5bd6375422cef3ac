// The release specification: the release.yaml that a release engineer writes.
// Its fields are described in docs/release-spec.md and schemas/release-spec.schema.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "flux/image_references.h"
#include "io/file_system.h"
#include "oci/descriptor.h"
#include "release/base_policy.h"
#include "release/gate_rules.h"

namespace bundle::spec {

// A plain file of the release: OS image, k3s binary, install script.
struct FileSpec {
  std::string name;           // how sites ask for it; unique over os, k8s and files
  Path path;                  // folder of the spec / path as written; an existing regular file
  std::uint32_t mode = 0644;  // permission bits on the site
};

struct ImageSpec {
  std::string name;    // how nodes ask for it: "registry.example.com/app/server:1.4.0"
  std::string source;  // skopeo transport name as written; local paths are below folder()
  std::vector<oci::Platform> platforms;  // never empty: its own, else the release's
};

// The desired state for Flux.
struct FluxSpec {
  Path folder;                        // with profiles/<name>/ in it
  std::vector<std::string> profiles;  // names of those folders, sorted; never empty
  Path values;   // folder with one overlay <profile>.yaml for each profile; empty: none
  Path install;  // what `flux install --export` printed; empty: the release does not bring Flux
};

// An image that a manifest may name though the release does not carry it by digest.
struct ClosureException {
  std::string image;   // as the manifest names it; '*' stands for any characters
  std::string file;    // the same for the end of the file's path; empty: any file
  std::string reason;  // for the report
};

struct ReleaseSpec {
  Path file;  // the release.yaml itself
  // Where relative paths start: bind the opener of ImageSpec::source to it.
  Path folder() const { return file.has_parent_path() ? file.parent_path() : Path("."); }

  std::string product;
  std::string version;               // SemVer 2
  std::uint64_t release_number = 0;  // as written, else default_release_number(version)
  std::vector<std::string> upgrade_from;
  release::GateRules gates;
  std::vector<oci::Platform> platforms;  // default: linux/amd64
  std::optional<UnixTime> expires;       // at most one of the two
  std::optional<std::uint32_t> expires_days;

  std::string os_base;
  std::optional<release::BasePolicy> base_policy;  // accept_base() adds a reason
  std::vector<FileSpec> os_artifacts;
  // List of the packages of the OS image (dpkg status, or NAME<tab>VERSION lines); empty: none.
  Path os_packages;

  std::string k8s_distribution;
  std::string k8s_version;  // vX.Y.Z+k3sN
  std::vector<FileSpec> k8s_artifacts;

  std::string chart_path;  // as written: a chart folder or a packed .tgz
  Path chart;              // folder of the spec / chart_path
  std::string values_profile;

  std::vector<ImageSpec> images;
  std::vector<FileSpec> files;

  std::optional<FluxSpec> flux;
  flux::ImagePatterns image_patterns;  // where images may be named, beyond the built-in rules
  std::vector<ClosureException> closure_exceptions;

  // OCI layout with signatures for the cluster, which `bundle-make cosign-sign` writes; it need not
  // exist before. Empty: none.
  Path signatures;
};

// Limits of the file: a spec is written by hand.
inline constexpr std::size_t kMaxSpecBytes = 1024 * 1024;

// Reads, validates and completes a spec. Every message says file:line:column.
// Throws Error{spec_invalid} (not YAML, schema, meaning; all findings of one kind in one message),
// Error{name_collision} (two files or two images of one name, or files whose repositories would be
// the same), Error{unsafe_path} (a path that leaves the spec's folder, also by a symbolic link),
// Error{not_found} (all missing files, chart and local image sources at once), Error{limit}. Peak
// memory: about twenty times the file.
ReleaseSpec load_spec(FileSystem& fs, const Path& release_yaml);
// The same for a text that stands for the file `release_yaml`; its paths are looked up.
ReleaseSpec parse_spec(FileSystem& fs, std::string_view text, const Path& release_yaml);

}  // namespace bundle::spec
