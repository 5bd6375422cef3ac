// Importing a release into a site store.
//
// The store is opened or made; nothing is written before the signatures are verified and the plan
// is known to fit. An import that was killed, or whose stick vanished, continues with the next
// call. One importer per store at a time; registry and readers may go on meanwhile. Peak memory:
// under 256 MiB, whatever the size of the release.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "bundle/release_diff.h"

namespace bundle {

// How an origin on a web server is reached. Proxies are taken from the environment (https_proxy).
struct OriginAccess {
  // PEM file of authorities, or a folder as in containers-certs.d(5) with a client certificate.
  std::filesystem::path ca;
  // First line: USER:PASSWORD, or "Bearer TOKEN"; with `s3_region` ACCESS_KEY:SECRET_KEY.
  std::filesystem::path credentials;
  // The origin is in an object store with S3's interface: requests are signed (AWS, version 4) for
  // this region. Empty: no.
  std::string s3_region;
  std::uint64_t bytes_per_second = 0;  // of all connections together; 0: no limit
  unsigned connections = 4;
};

struct ImportOptions {
  // Folders with volumes and volume files; or one origin (docs/origin.md): its address, http:// or
  // https://, or its folder; or one site store, another site's mirror. An origin needs `channel` or
  // `version`, and so does a store with several releases.
  std::vector<std::filesystem::path> sources;
  std::filesystem::path store;
  // A minisign public key or a TUF root to pin; empty: the store's pinned root is used.
  std::filesystem::path trust;
  // Pins a key or root that the medium carries, when its fingerprint was told by another way.
  std::string trust_fingerprint;
  // When given, the release must be the one that this channel stands at, by a pointer on the medium
  // that has not expired: Error{not_found|expired|rollback|statement_mismatch}.
  std::string channel;
  // Of an origin: this release in place of the one that the channel stands at. A channel given
  // besides only tells where the news come from: roots, revocations.
  std::string version;
  OriginAccess access;
  // Of a release that is here already: reads every blob of it, and replaces those that are damaged.
  // Without it only files are read that are missing, have another size, or were changed since the
  // release came in; rot below the file system changes no time, and is found by audit_store().
  bool repair = false;
  unsigned jobs = 0;  // worker threads; 0: one a core, at least two
};

struct ImportPlanReport {
  std::string product;
  std::string version;
  std::uint64_t release_number = 0;
  std::string created;
  std::string expires;
  std::vector<std::string> signers;  // key ids
  bool already_imported = false;
  std::uint64_t blobs_total = 0;
  std::uint64_t bytes_total = 0;
  std::uint64_t blobs_present = 0;
  std::uint64_t bytes_present = 0;
  std::uint64_t blobs_new = 0;
  std::uint64_t bytes_new = 0;
  std::uint64_t blobs_waiting = 0;  // of the new ones: need a volume that is not here
  std::uint64_t bytes_staged = 0;   // kept at the site until the other volumes come
  std::uint64_t disk_needed = 0;
  std::uint64_t disk_free = 0;
  std::uint64_t bytes_to_read = 0;  // from the medium; less what was fetched before
  std::uint64_t seconds_estimate = 0;
  std::uint32_t volumes_total = 0;
  std::vector<std::uint32_t> volumes_missing;
  // Of plan_import, when a release of this product is live here: what changes from that one.
  std::string compared_with;  // its version; empty: nothing was compared
  std::vector<ReleaseChange> changes;
  std::vector<std::string> notes;  // what could not be compared
};

struct ImportReport {
  ImportPlanReport plan;
  bool complete = false;  // the release is published at the site
  std::uint64_t blobs_written = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t bytes_read = 0;  // from the medium, or all that came from an origin
  double seconds = 0;
};

// Reads only. Throws Error.
ImportPlanReport plan_import(const ImportOptions& options, const Cancel& cancel);

// Throws Error; Error{volume_missing} when everything on the medium was taken in but other volumes
// are needed to complete the release.
ImportReport import_release(const ImportOptions& options, Progress& progress, const Cancel& cancel);

// Reads every byte of a bundle and rebuilds every blob without writing. `trust` as above.
struct VerifyReport {
  ImportPlanReport release;
  std::uint64_t leaves = 0;
  std::uint64_t bytes = 0;
  std::uint64_t blobs = 0;  // rebuilt and compared; 0 when only the hashes were asked for
  double seconds = 0;
};
struct VerifyOptions {
  std::vector<std::filesystem::path> sources;
  std::filesystem::path trust;
  std::string trust_fingerprint;
  bool rebuild = false;  // also rebuild every blob
  unsigned jobs = 0;
};
VerifyReport verify_bundle(const VerifyOptions& options, Progress& progress, const Cancel& cancel);

}  // namespace bundle
