// Making, signing, cutting and inspecting bundles: what release engineers do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "bundle/registry_access.h"

namespace bundle {

// How to sign: a key file or a command. At most one of `key` and `command`; neither: unsigned.
struct SignWith {
  std::filesystem::path key;            // minisign secret key file
  std::filesystem::path password_file;  // its first line opens the key
  int password_fd = -1;                 // or an open descriptor
  std::string command;                  // run by /bin/sh: message on stdin, .minisig on stdout
  bool empty() const { return key.empty() && command.empty(); }
};

inline constexpr std::uint64_t kDefaultVolumeBytes = 4'294'963'200;  // just below FAT32's limit

struct MakeOptions {
  std::filesystem::path spec;  // release.yaml
  std::filesystem::path out;   // folder; must hold no bundle yet
  std::uint64_t volume_size = kDefaultVolumeBytes;
  // A delta: folders of full bundles and inventory files; importable where one of them is complete.
  std::vector<std::filesystem::path> bases;
  int level = 19;  // zstd, 1 to 19
  // Seconds of one core that a site may spend on making a GB of layer content gzip again. Layers
  // whose encoder takes longer are carried as they are; 0: any time.
  unsigned import_budget = 0;
  bool fast = false;  // for CI: level 3, under 256 MiB of memory
  unsigned jobs = 2;
  SignWith sign;
  RegistryAccess registry;                   // for `docker://` sources
  std::vector<std::filesystem::path> roots;  // <N>.root.json files that travel along
  // Who runs the build, for the provenance: a URI such as that of a CI workflow. Part of the signed
  // content; empty: bundle-make itself.
  std::string builder;
  bool require_render = false;         // no helm, no kustomize: an error, not a note
  std::filesystem::path trust_folder;  // all that sites follow (bundle/trust.h) travels along
  // Why a base image older than the release's policy is taken: recorded in the signed manifest when
  // it is. Empty: make refuses it.
  std::string stale_base;
};

struct ClosureLine {
  std::string place;  // "helm/templates/web.yaml:12"
  std::string image;
  std::string problem;
  std::string reason;  // of the exception in release.yaml; empty: a leak
};

// Whether everything that the chart and the desired state can name is in the release.
struct ClosureReport {
  std::uint64_t references = 0;
  std::vector<std::string> rendered;  // "helm single-node"
  std::vector<std::string> notes;     // what was not looked at, and why
  std::vector<ClosureLine> leaks;
  std::vector<ClosureLine> excepted;
};

struct MakeReport {
  std::string product;
  std::string version;
  std::uint64_t release_number = 0;
  std::vector<std::filesystem::path> volumes;
  std::uint64_t bundle_bytes = 0;
  std::uint64_t blobs = 0;
  std::uint64_t blob_bytes = 0;
  std::uint64_t gzip_bytes = 0;      // of them gzip
  std::uint64_t replayed_bytes = 0;  // of those stored inflated
  std::uint64_t unique_bytes = 0;    // plain bytes after deduplication
  std::vector<std::string> bases;    // of a delta: their names
  std::uint64_t omitted_blobs = 0;   // of a delta: not carried, because every base has them
  std::uint64_t base_bytes = 0;      // of a delta: plain bytes that the site copies from base blobs
  std::vector<std::string> signatures;  // file names
  ClosureReport closure;                // without leaks: they are an error
  double seconds = 0;
};

// SOURCE_DATE_EPOCH in the environment sets the time of creation: same inputs, same bytes.
MakeReport make_bundle(const MakeOptions& options, Progress& progress, const Cancel& cancel);

// The check of images that make_bundle begins with, alone. Throws what make_bundle throws before it
// writes, but for leaks, which the report has.
ClosureReport check_release_closure(const std::filesystem::path& spec, const RegistryAccess& access,
                                    Progress& progress, const Cancel& cancel);

struct SignReport {
  std::vector<std::string> signatures;  // file names written
  std::size_t volumes = 0;              // volumes that carry them now
};

// Signs what is in the folder: statement.json and carrier.json, and puts all signatures of the
// folder (also those that were copied there from other signers) into the volumes. With an empty
// `sign` it only does the latter.
SignReport sign_bundle(const std::filesystem::path& folder, const SignWith& sign);

struct ExportOptions {
  std::filesystem::path store;
  std::string version;
  std::filesystem::path out;  // folder; must hold no bundle yet
  std::uint64_t volume_size = kDefaultVolumeBytes;
  int level = 19;
  bool fast = false;  // level 3, under 256 MiB of memory
  unsigned jobs = 2;
  // A key that the store's root allows for carriers; empty: sign_bundle() later.
  SignWith sign;
  bool dry_run = false;  // only tell what would be exported
};

struct ExportReport {
  bool dry_run = false;
  std::string product;
  std::string version;
  std::uint64_t release_number = 0;
  std::uint64_t blobs = 0;
  std::uint64_t blob_bytes = 0;
  std::vector<std::filesystem::path> volumes;
  std::uint64_t bundle_bytes = 0;
  std::vector<std::string> signatures;  // of the release, kept, and of the carrier
  bool carrier_signed = false;          // false: no site imports it yet
  double seconds = 0;
};

// A release of a store or mirror as a full bundle: statement, manifest and blobs as they are, to
// the byte, so that it is the same release; the carrier is new and signed by a key of its own.
// Roots, pointers and revocations that the store follows travel along. The release is verified
// first, and every blob while it is packed. Equal stores give equal bytes. Throws
// Error{release_unknown, release_incomplete, revoked, blob_mismatch, name_collision}, {wrong_key}
// before anything is written when sites would not take this key for a carrier, and what verifying
// throws. Memory: as make_bundle.
ExportReport export_release(const ExportOptions& options, Progress& progress, const Cancel& cancel);

struct CosignOptions {
  std::filesystem::path spec;  // release.yaml; its `signatures` names the folder that is written
  // `key`: cosign's or OpenSSL's, ECDSA P-256. `command`: message on stdin, DER or base64 on
  // stdout.
  SignWith sign;
  std::filesystem::path public_key;  // PEM; needed with a command, whose output it checks
  bool classic = false;              // tags sha256-<hex>.sig, for cosign and Flux of before bundles
  RegistryAccess registry;           // for `docker://` sources
};

struct CosignedArtifact {
  std::string name;
  std::string digest;
  std::string state;  // "signed", "kept" (was signed by this key), "upstream" (has its maker's)
};

struct CosignReport {
  std::filesystem::path folder;
  std::string public_key;  // PEM
  std::vector<CosignedArtifact> artifacts;
};

// Signs images, chart and release index for the cluster, before `make`, whose input the result is.
CosignReport cosign_release(const CosignOptions& options, Progress& progress);

// Writes NAME.key and NAME.pub (minisign's formats). Returns the key id.
// An empty password is refused unless `allow_no_password`.
std::string generate_key(const std::filesystem::path& name,
                         const std::filesystem::path& password_file, int password_fd,
                         bool allow_no_password);

// Cuts the volumes in `sources` anew, all of which must be there; signatures stay valid. With
// `volume_size` 0 they are joined into one.
std::vector<std::filesystem::path> recut_bundle(const std::vector<std::filesystem::path>& sources,
                                                const std::filesystem::path& out,
                                                std::uint64_t volume_size, Progress& progress,
                                                const Cancel& cancel);

struct InspectedArtifact {
  std::string kind;  // "image", "chart", "flux", "file", "index" (of all artifacts)
  std::string name;
  std::string digest;
  std::string media_type;
};
struct InspectReport {
  bool verified = false;  // always false here: inspect trusts nobody
  std::string bundle_id;
  std::string product;
  std::string version;
  std::uint64_t release_number = 0;
  std::string created;
  std::string expires;
  std::uint32_t volumes_total = 0;
  std::vector<std::uint32_t> volumes_here;
  std::uint64_t blobs = 0;
  std::uint64_t blob_bytes = 0;
  std::uint64_t pack_bytes = 0;
  std::uint64_t groups = 0;
  std::uint64_t leaves = 0;
  std::vector<std::string> bases;  // of a delta
  std::vector<std::string> signatures;
  std::vector<InspectedArtifact> artifacts;
  std::vector<std::string> upgrade_from;
  std::string k8s_version;
  std::string os_base;
  std::string base_built;  // when the base image was built; empty: the release has no policy
  std::uint32_t base_max_age_days = 0;
  std::string stale_base;  // why it was taken although it was older
};

// The inventory of a bundle: one line a blob, "sha256:<digest> <size>", sorted. As a base of a
// delta it says which blobs a site has, but not what is in them.
std::string bundle_inventory(const std::vector<std::filesystem::path>& sources);

// What a bundle says about itself. No signature is checked.
InspectReport inspect_bundle(const std::vector<std::filesystem::path>& sources);

}  // namespace bundle
