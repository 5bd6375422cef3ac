#include "plan/import_plan.h"

#include <algorithm>

#include "unpack/recipe_player.h"

namespace bundle::plan {
namespace {

using format::Group;
using format::Index;

// Which groups are wanted.
class GroupSet {
 public:
  explicit GroupSet(const Index& index) : wanted_(index.groups.size(), false) {}

  void add(std::uint32_t group) { wanted_[group] = true; }
  bool has(std::uint32_t group) const { return wanted_[group]; }
  std::vector<std::uint32_t> list() const {
    std::vector<std::uint32_t> groups;
    for (std::uint32_t i = 0; i < wanted_.size(); ++i) {
      if (wanted_[i]) groups.push_back(i);
    }
    return groups;
  }

 private:
  std::vector<bool> wanted_;
};

class Planner {
 public:
  Planner(const unpack::VerifiedHead& head, unpack::GroupReader& groups, const LeafPlaces& places,
          const Cancel& cancel)
      : index_(head.index),
        groups_(groups),
        places_(places),
        cancel_(cancel),
        for_ready_(index_),
        for_waiting_(index_),
        reference_read_(index_.groups.size(), false),
        base_used_(index_.base_blobs.size(), false) {}

  void add(ImportPlan& plan, const format::IndexedBlob& blob, const format::BlobEntry& entry) {
    cancel_.check();
    std::vector<std::uint32_t> needed;
    const bool ready = collect(blob, needed);
    GroupSet& set = ready ? for_ready_ : for_waiting_;
    for (const std::uint32_t group : needed) set.add(group);
    if (ready) {
      plan.ready.push_back({&blob, entry});
      plan.bytes_ready += entry.size;
    } else {
      plan.waiting.push_back({&blob, entry});
      plan.bytes_waiting += entry.size;
    }
  }

  void finish(ImportPlan& plan, const store::SiteStore* store) {
    for (std::size_t i = 0; i < base_used_.size(); ++i) {
      if (!base_used_[i]) continue;
      const format::BlobEntry& blob = index_.base_blobs[i];
      const bool here = store != nullptr && store->has_blob(blob);
      (here ? plan.base_blobs : plan.base_missing).push_back(blob);
    }
    plan.groups = for_ready_.list();
    for (const std::uint32_t group : plan.groups) {
      plan.packed_bytes += index_.groups[group].packed_size;
    }
    if (plan.waiting.empty()) return;
    for (const Group& group : index_.groups) {
      if (!unknown_ && !for_waiting_.has(index_.group_number(group))) continue;
      for (std::uint32_t i = 0; i < group.leaf_count(); ++i) stage(plan, group.first_leaf + i);
    }
  }

 private:
  // The groups that a blob needs; false when one of them is not here.
  bool collect(const format::IndexedBlob& blob, std::vector<std::uint32_t>& needed) {
    bool here = collect_recipe(blob.recipe_offset, blob.recipe_size, needed);
    if (!here) {
      // Without its recipe nobody knows what the blob needs: keep all there is.
      unknown_ = true;
      return false;
    }
    const Bytes bytes = unpack::read_recipe(groups_, blob);
    std::uint32_t last = UINT32_MAX;
    unpack::visit_groups(bytes, index_, blob.digest, [&](std::uint32_t group) {
      if (group == last) return;
      last = group;
      needed.push_back(group);
      here = here && has_group(index_.groups[group]);
      here = collect_reference(index_.groups[group], needed) && here;
    });
    unpack::visit_runs(bytes, index_, blob.digest,
                       [this](const format::Run& run) { use_base(run); });
    return here;
  }

  // The groups that hold a range of the recipe stream; false when one of them is not here.
  bool collect_recipe(std::uint64_t offset, std::uint64_t size,
                      std::vector<std::uint32_t>& needed) {
    bool here = true;
    for (std::uint64_t at = offset; at < offset + size;) {
      const Group& group = *index_.find_group(format::kRecipeStream, at);
      needed.push_back(index_.group_number(group));
      here = here && has_group(group);
      at = group.plain_offset + group.plain_size;
    }
    return here;
  }

  bool collect_reference(const Group& group, std::vector<std::uint32_t>& needed) {
    if (group.reference_size == 0) return true;
    if (!collect_recipe(group.reference_offset, group.reference_size, needed)) return false;
    const std::uint32_t number = index_.group_number(group);
    if (reference_read_[number]) return true;
    reference_read_[number] = true;
    for (const format::Run& run : unpack::reference_runs(groups_, group)) use_base(run);
    return true;
  }

  void use_base(const format::Run& run) {
    if (format::is_base_source(run.source)) base_used_[run.base_blob] = true;
  }

  bool has_group(const Group& group) const {
    for (std::uint32_t i = 0; i < group.leaf_count(); ++i) {
      const std::uint32_t leaf = group.first_leaf + i;
      if (!places_.media.has(leaf) && !places_.staged.has(leaf)) return false;
    }
    return true;
  }

  void stage(ImportPlan& plan, std::uint32_t leaf) const {
    if (!places_.media.has(leaf) || places_.staged.has(leaf)) return;
    plan.to_stage.push_back(leaf);
    plan.bytes_to_stage += index_.leaf_place(leaf).size;
  }

  const Index& index_;
  unpack::GroupReader& groups_;
  const LeafPlaces& places_;
  const Cancel& cancel_;
  GroupSet for_ready_;
  GroupSet for_waiting_;
  std::vector<bool> reference_read_;
  std::vector<bool> base_used_;
  bool unknown_ = false;
};

// A delta leaves out what its bases have.
void check_omitted(const unpack::VerifiedHead& head, const store::SiteStore* store,
                   ImportPlan& plan) {
  if (head.index.blobs.size() == head.blobs.size()) return;
  std::vector<Digest> indexed;
  indexed.reserve(head.index.blobs.size());
  for (const format::IndexedBlob& blob : head.index.blobs) indexed.push_back(blob.digest);
  std::ranges::sort(indexed);
  for (const format::BlobEntry& blob : head.blobs) {
    if (std::ranges::binary_search(indexed, blob.digest)) continue;
    if (store != nullptr && store->has_blob(blob)) {
      ++plan.blobs_present;
      plan.bytes_present += blob.size;
    } else if (std::ranges::find(plan.base_missing, blob) == plan.base_missing.end()) {
      plan.base_missing.push_back(blob);
    }
  }
}

// What the store has of the blob; true when that is all of it.
bool note_what_is_here(const format::BlobEntry& blob, const store::SiteStore* store,
                       ImportPlan& plan) {
  if (store == nullptr) return false;
  if (store->has_blob(blob)) {
    ++plan.blobs_present;
    plan.bytes_present += blob.size;
    return true;
  }
  plan.bytes_partial += std::min(store->partial_bytes(blob.digest), blob.size);
  return false;
}

// Each missing blob is there as it is.
void plan_plain_blobs(const unpack::VerifiedHead& head, const store::SiteStore* store,
                      ImportPlan& plan) {
  for (const format::BlobEntry& blob : head.blobs) {
    if (note_what_is_here(blob, store, plan)) continue;
    plan.ready.push_back({nullptr, blob});
    plan.bytes_ready += blob.size;
  }
}

}  // namespace

std::uint64_t ImportPlan::disk_needed() const {
  // Blobs that become whole later will need their room too: better known before the first stick
  // is read than at the last one.
  return bytes_ready + bytes_waiting + bytes_to_stage - bytes_partial;
}

ImportPlan make_plan(const unpack::VerifiedHead& head, const store::SiteStore* store,
                     unpack::GroupReader& groups, const LeafPlaces& places, const Cancel& cancel) {
  ImportPlan plan;
  plan.blobs_total = head.blobs.size();
  plan.bytes_total = head.release->blob_bytes;
  if (!head.carrier) {
    plan_plain_blobs(head, store, plan);
    return plan;
  }
  Planner planner(head, groups, places, cancel);
  for (const format::IndexedBlob& blob : head.index.blobs) {
    const format::BlobEntry& entry = *unpack::find_blob(head.blobs, blob.digest);
    if (note_what_is_here(entry, store, plan)) continue;
    planner.add(plan, blob, entry);
  }
  planner.finish(plan, store);
  check_omitted(head, store, plan);
  return plan;
}

}  // namespace bundle::plan
