// The site store: a plain OCI image layout on disk plus what this system adds to it.
//
//   oci-layout  index.json  blobs/sha256/<hex>     any OCI tool reads these
//   releases/<version>/{statement.json, statement.<keyid>.minisig, manifest.json, blobs.list}
//   trust/    pinned root, highest release numbers seen
//   channels/ the vendor's signed pointers
//   staging/  work in progress of an import; nothing in it is served
//   active    one line: the version that is live; the only mutable site state
//   audit.log append-only, one JSON object a line
//   pushed/   what was pushed into the registry, with a lock of its own: pushed_store.h
//   .lock     held by the one writer
//
// Blobs are exact bytes, one copy, immutable. A release is published last, by rename.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/progress.h"
#include "crypto/digest.h"
#include "format/blob_list.h"
#include "io/file_system.h"
#include "oci/descriptor.h"

namespace bundle::store {

using format::BlobEntry;

// A named artifact of a release: an image, the chart, or a file packed as an OCI artifact.
// `name` is how clients ask for it: "registry.example.com/app/server:1.4.0".
struct NamedArtifact {
  std::string name;
  oci::Descriptor descriptor;  // manifest or index, by digest
};

struct ReleaseInfo {
  std::string version;
  std::string product;
  std::uint64_t release_number = 0;
  std::string created;  // RFC 3339
  std::string expires;  // RFC 3339
  std::uint64_t blob_count = 0;
  std::uint64_t blob_bytes = 0;
  bool active = false;
};

// Read access. Safe beside a running import, activation or gc in another process: what it returns
// is one consistent state. Thread-safe.
class SiteStore {
 public:
  static constexpr std::string_view kPartialPrefix = "partial-";

  // Opens an existing store; throws Error{store_invalid} when `root` is none.
  static std::shared_ptr<SiteStore> open(FileSystem& fs, const Path& root);
  // Makes an empty store or opens an existing one; throws Error{store_invalid} when `root` is a
  // non-empty directory of something else.
  static std::shared_ptr<SiteStore> create(FileSystem& fs, const Path& root);

  const Path& root() const { return root_; }
  FileSystem& fs() const { return fs_; }

  Path blob_path(const Digest& digest) const;  // blobs/sha256/<hex>
  std::optional<std::uint64_t> blob_size(const Digest& digest) const;
  bool has_blob(const BlobEntry& blob) const;
  // Reads the blob and compares: empty when it is sound, else what is wrong with it, for people.
  std::string blob_problem(const BlobEntry& blob, const Cancel& cancel) const;
  // Throws Error{not_found}.
  std::unique_ptr<ReadableFile> open_blob(const Digest& digest) const;
  // What an interrupted import has left of a blob (StoreWriter goes on from there): its file, which
  // may not be there, and the bytes that it takes on the disk.
  Path partial_path(const Digest& digest) const;
  std::uint64_t partial_bytes(const Digest& digest) const;

  // Ascending by release number.
  std::vector<ReleaseInfo> releases() const;
  std::optional<std::string> active_version() const;
  // Throw Error{release_unknown}.
  ReleaseInfo release(const std::string& version) const;
  std::vector<BlobEntry> release_blobs(const std::string& version) const;
  std::string release_manifest(const std::string& version) const;  // manifest.json as stored
  std::vector<NamedArtifact> release_artifacts(const std::string& version) const;

  Path release_dir(const std::string& version) const;
  Path staging_dir() const { return root_ / "staging"; }
  Path trust_dir() const { return root_ / "trust"; }

 protected:
  SiteStore(FileSystem& fs, Path root) : fs_(fs), root_(std::move(root)) {}

 private:
  FileSystem& fs_;
  Path root_;
};

}  // namespace bundle::store
