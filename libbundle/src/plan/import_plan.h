// What an import will do, computed before anything is written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "store/site_store.h"
#include "unpack/bundle_reader.h"
#include "unpack/group_reader.h"

namespace bundle::plan {

struct PlannedBlob {
  const format::IndexedBlob* indexed = nullptr;  // in the head's index; null: a plain blob
  format::BlobEntry entry;
};

struct ImportPlan {
  std::uint64_t blobs_total = 0;
  std::uint64_t bytes_total = 0;
  std::uint64_t blobs_present = 0;  // at this site already
  std::uint64_t bytes_present = 0;
  std::vector<PlannedBlob> ready;  // can be rebuilt now, in the index's order
  std::uint64_t bytes_ready = 0;
  std::vector<PlannedBlob> waiting;  // need a volume that is not here
  std::uint64_t bytes_waiting = 0;
  // Leaves at hand that only waiting blobs need: kept at the site until the rest arrives.
  std::vector<std::uint32_t> to_stage;
  std::uint64_t bytes_to_stage = 0;
  std::uint64_t bytes_partial = 0;    // of these blobs, on the disk from an interrupted import
  std::vector<std::uint32_t> groups;  // ascending: what ready blobs are made from
  std::uint64_t packed_bytes = 0;     // of these groups
  std::vector<std::uint32_t> missing_volumes;  // of the ones that were counted; empty: all are here

  // Of a delta: the base blobs that the ready and waiting blobs are made from and that are here.
  std::vector<format::BlobEntry> base_blobs;
  // Blobs that the delta expects at the site and that it lacks: nothing can be imported then.
  std::vector<format::BlobEntry> base_missing;

  bool complete() const { return waiting.empty(); }
  // Free space that the import needs at most.
  std::uint64_t disk_needed() const;
};

// Which leaves are on a medium now, and which are staged at the site from an earlier one.
struct LeafPlaces {
  const unpack::LeafSource& media;
  const unpack::LeafSource& staged;
};

// Reads every needed recipe once. `store` may be null: an empty site. Nothing is written.
// Of a delta it also tells what the base lacks. Memory: a bit a group and about 60 bytes a blob,
// and the group reader's.
ImportPlan make_plan(const unpack::VerifiedHead& head, const store::SiteStore* store,
                     unpack::GroupReader& groups, const LeafPlaces& places, const Cancel& cancel);

}  // namespace bundle::plan
