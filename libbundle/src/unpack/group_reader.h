// Groups, decoded from verified leaves, with a bounded cache and read-ahead.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/thread_pool.h"
#include "format/index.h"
#include "format/recipe.h"
#include "unpack/base_reader.h"
#include "unpack/leaf_source.h"

namespace bundle::unpack {

// Reads one leaf and checks it against the index before anybody else sees a byte. A damaged copy
// is passed over when another copy is good. Throws Error{pack_corrupt} naming file, offset and how
// many bytes a repair needs; Error{volume_missing} when no source has the leaf.
Bytes read_verified_leaf(const format::Index& index, const LeafSource& source, std::uint32_t leaf);

// True when every leaf of the group is at hand.
bool has_group(const LeafSource& source, const format::Group& group);

// Thread-safe. Keeps decoded groups up to `budget` bytes; what nobody uses and was not used for the
// longest goes first. Groups in use may exceed the budget: at most one per reader and stream and
// one per read-ahead. Peak memory: budget, or what is in use, plus one packed group a thread, plus
// one reference (format::kMaxReferenceBytes): groups with references are decoded one at a time.
class GroupReader {
 public:
  using Plain = std::shared_ptr<const Bytes>;

  static constexpr std::uint64_t kDefaultBudget = 96 << 20;

  // None owned. `base` may be null: what needs base blobs ends in Error{base_missing}.
  GroupReader(const format::Index& index, const LeafSource& source,
              std::uint64_t budget = kDefaultBudget, BaseReader* base = nullptr);

  const format::Index& index() const { return index_; }
  // Throws Error{base_missing} when there is none.
  BaseReader& base() const;
  // The group's plain bytes. Decodes at most once at a time, whoever asks.
  Plain get(std::uint32_t group);
  // Starts to decode in the background if that is not done or under way.
  void read_ahead(std::uint32_t group);

  // Bytes of the pack stream read so far, for progress.
  std::uint64_t packed_bytes_read() const { return packed_read_.load(std::memory_order_relaxed); }
  // Groups decoded so far, counting repeats: what a bad order of recipes costs.
  std::uint64_t groups_decoded() const { return decoded_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::shared_future<Plain> plain;
    std::list<std::uint32_t>::iterator order;
    std::uint32_t size = 0;
  };

  Plain decode(std::uint32_t group);
  Bytes read_reference(const format::Group& group);
  std::shared_future<Plain> claim(std::uint32_t group, std::promise<Plain>& promise, bool& mine);
  void fulfil(std::uint32_t group, std::promise<Plain>& promise);
  void forget(std::uint32_t group);
  void evict_locked();
  static bool is_idle(const Slot& slot);

  const format::Index& index_;
  const LeafSource& source_;
  std::uint64_t budget_;
  BaseReader* base_;
  std::mutex reference_mutex_;  // held while a group with a reference is decoded
  std::atomic<std::uint64_t> packed_read_{0};
  std::atomic<std::uint64_t> decoded_{0};
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, Slot> slots_;
  std::list<std::uint32_t> order_;  // most recent first
  std::uint64_t held_ = 0;
  ThreadPool ahead_{1, 4};  // last member: its thread ends first
};

// Bytes of the recipe stream. Throws what GroupReader throws.
Bytes read_recipe_stream(GroupReader& groups, std::uint64_t offset, std::uint32_t size);

// The base runs whose bytes, joined, are the group's reference. Throws Error{index_invalid} when
// the list breaks docs/bundle-format.md section 4.5, and what GroupReader throws.
std::vector<format::Run> reference_runs(GroupReader& groups, const format::Group& group);

}  // namespace bundle::unpack
