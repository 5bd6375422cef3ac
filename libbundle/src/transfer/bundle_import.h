// The import engine: from a verified bundle to blobs in the store.
#pragma once

#include "bundle/progress.h"
#include "plan/import_plan.h"
#include "store/store_writer.h"
#include "unpack/bundle_reader.h"
#include "unpack/group_reader.h"

namespace bundle::transfer {

// Leaves that an earlier import has kept in the store's staging folder.
class StagedLeaves final : public unpack::LeafSource {
 public:
  // `store` may be null: nothing is staged.
  StagedLeaves(const store::SiteStore* store, const format::BundleId& bundle,
               const format::Index& index);

  bool has(std::uint32_t leaf) const override { return leaf < present_.size() && present_[leaf]; }
  std::size_t copies(std::uint32_t leaf) const override { return has(leaf) ? 1 : 0; }
  void read(std::uint32_t leaf, std::size_t copy, std::span<std::uint8_t> buffer) const override;
  std::string where(std::uint32_t leaf, std::size_t copy) const override;
  // Volumes whose useful leaves are all staged or used.
  const std::vector<std::uint32_t>& volumes_seen() const { return volumes_seen_; }

 private:
  Path path(std::uint32_t leaf) const { return folder_ / std::to_string(leaf); }

  FileSystem* fs_ = nullptr;
  Path folder_;
  std::vector<bool> present_;
  std::vector<std::uint32_t> volumes_seen_;
};

// Media first, then what is staged.
class JoinedLeaves final : public unpack::LeafSource {
 public:
  // Neither owned.
  JoinedLeaves(const unpack::LeafSource& first, const unpack::LeafSource& second)
      : first_(first), second_(second) {}
  bool has(std::uint32_t leaf) const override { return first_.has(leaf) || second_.has(leaf); }
  std::size_t copies(std::uint32_t leaf) const override {
    return first_.copies(leaf) + second_.copies(leaf);
  }
  void read(std::uint32_t leaf, std::size_t copy, std::span<std::uint8_t> buffer) const override;
  std::string where(std::uint32_t leaf, std::size_t copy) const override;

 private:
  const unpack::LeafSource& first_;
  const unpack::LeafSource& second_;
};

// Where the bytes of blobs come from: recipes over groups, or for plain blobs `plain`, which may be
// null when the plan has none.
struct BlobOrigin {
  unpack::GroupReader& groups;
  const unpack::BlobSource* plain = nullptr;
};

// Makes the plan's ready blobs in the store on `jobs` threads; returns bytes written. The first
// failure ends it after the blobs under way; what was committed stays, and so does the beginning of
// a large blob: the next run goes on from there. Throws Error{blob_mismatch} for a plain blob that
// is not what its digest says, naming where it lies.
std::uint64_t rebuild_blobs(const plan::ImportPlan& plan, const BlobOrigin& from,
                            store::StoreWriter& writer, std::size_t jobs, Progress& progress,
                            const Cancel& cancel);

// Rebuilds without a store, for `verify`: compares digests. Returns the number of blobs.
std::uint64_t prove_blobs(const unpack::VerifiedHead& head, unpack::GroupReader& groups,
                          std::size_t jobs, Progress& progress, const Cancel& cancel);

}  // namespace bundle::transfer
