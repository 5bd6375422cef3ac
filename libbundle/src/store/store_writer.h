// The one writer of a site store.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "codec/json.h"
#include "crypto/digest.h"
#include "format/volume.h"
#include "store/site_store.h"

namespace bundle::store {

// A blob on its way in. Hashes while it is written; nothing of it is visible before commit.
// Not thread-safe; several may be open at once.
class BlobWriter final : public Sink {
 public:
  // Where to go on: bytes that an earlier, interrupted run has left and that were hashed again.
  std::uint64_t offset() const { return written_; }
  const BlobEntry& blob() const { return blob_; }
  void write(ByteView bytes) override;

 private:
  friend class StoreWriter;
  BlobEntry blob_;
  Sha256 hash_;
  std::uint64_t written_ = 0;
  std::uint64_t synced_ = 0;
  std::unique_ptr<AnonymousFile> anonymous_;
  std::unique_ptr<WritableFile> partial_;  // a named file in staging/: survives a kill
  Path partial_path_;
};

struct GcResult {
  std::uint64_t blobs = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> releases;  // removed ones
};

// Holds the store's lock. Blob calls are thread-safe, the others belong to one thread.
// Kill it at any moment: what is visible afterwards is complete, and the next writer cleans up.
class StoreWriter {
 public:
  // Blobs from this size on continue after a kill where they stopped, if they can be made from any
  // offset. Smaller ones are simply made again.
  static constexpr std::uint64_t kResumableSize = 16 << 20;
  // Finished blobs become durable and visible in batches of at most this much: what a kill costs.
  static constexpr std::uint64_t kBatchBytes = 32 << 20;
  static constexpr std::size_t kBatchFiles = 64;

  // Throws Error{busy} when another process has the lock, Error{read_only}.
  explicit StoreWriter(std::shared_ptr<SiteStore> store);
  ~StoreWriter();

  const SiteStore& store() const { return *store_; }

  std::unique_ptr<BlobWriter> begin_blob(const BlobEntry& blob, bool resumable);
  // Checks size and digest; throws Error{blob_mismatch} and drops what was written when they
  // differ.
  void commit_blob(std::unique_ptr<BlobWriter> writer);
  // All committed blobs are durable and visible afterwards.
  void flush_blobs();
  // Takes a damaged blob away, so that an import makes it anew.
  void drop_blob(const Digest& digest);

  // Leaves of volumes that are not all here yet: staging/<bundle id>/<leaf number>.
  Path leaf_path(const format::BundleId& bundle, std::uint32_t leaf) const;
  void stage_leaf(const format::BundleId& bundle, std::uint32_t leaf, ByteView bytes);
  // Notes that a volume has nothing more to give, so that people are not asked for it again.
  void note_volume(const format::BundleId& bundle, std::uint32_t number);
  void drop_staged(const format::BundleId& bundle);
  // Notes which blobs an unfinished import will need, so that gc keeps them.
  void note_unfinished(const format::BundleId& bundle, std::string_view blob_list);

  // Makes the release visible in one rename. `files` are what releases/<version>/ holds.
  void publish_release(const std::string& version, const format::FileList& files);
  // Moves the active pointer. Throws Error{release_unknown}. The caller has checked completeness.
  void activate(const std::string& version);
  // Removes releases and every blob that no remaining release (or unfinished import) needs.
  // Throws Error{release_active}. Needs no free space. `dry_run` only counts.
  GcResult collect(const std::vector<std::string>& releases_to_remove, bool drop_unfinished,
                   bool dry_run);

  // Appends one line to audit.log, durably. `event` is an object; time and event name are added.
  void audit(std::string_view event, codec::Json details);

 private:
  void flush_blobs_locked();
  void open_partial(BlobWriter& writer);
  void clean_staging();
  void remove_release(const std::string& version);
  std::set<Digest> needed_blobs(const std::vector<std::string>& without,
                                bool with_unfinished) const;
  void write_index();
  bool try_write_index();  // false on a full disk

  std::shared_ptr<SiteStore> store_;
  FileSystem& fs_;
  std::unique_ptr<FileLock> lock_;
  std::mutex batch_mutex_;
  std::vector<std::unique_ptr<BlobWriter>> batch_;
  std::uint64_t batch_bytes_ = 0;
};

}  // namespace bundle::store
