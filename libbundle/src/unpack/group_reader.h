// Groups, decoded from verified leaves, with a bounded cache and read-ahead.
#pragma once

#include <atomic>
#include <condition_variable>
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
// one per read-ahead.
//
// Large groups (kLargeGroup) have a budget of their own that is kept strictly: who asks for one
// waits until enough others are given back, so a caller gives back its large group before it asks
// for another one. They, and groups with references, are decoded one at a time.
//
// Peak memory: `budget` (kSmallBudget beside large groups), or what is in use; `large_budget`; one
// packed group a thread; one reference (format::kMaxReferenceBytes).
class GroupReader {
 public:
  using Plain = std::shared_ptr<const Bytes>;

  static constexpr std::uint64_t kDefaultBudget = 96 << 20;
  static constexpr std::uint32_t kLargeGroup = 24 << 20;
  static constexpr std::uint64_t kLargeBudget = 128 << 20;
  static constexpr std::uint64_t kSmallBudget = 32 << 20;

  // Recipes' groups never count as large: they are read while others are waited for.
  static bool is_large(const format::Group& group) {
    return group.plain_size >= kLargeGroup && group.stream != format::kRecipeStream;
  }

  // None owned. `base` may be null: what needs base blobs ends in Error{base_missing}.
  GroupReader(const format::Index& index, const LeafSource& source,
              std::uint64_t budget = kDefaultBudget, BaseReader* base = nullptr,
              std::uint64_t large_budget = kLargeBudget);

  const format::Index& index() const { return index_; }
  // Throws Error{base_missing} when there is none.
  BaseReader& base() const;
  // The group's plain bytes. Decodes at most once at a time, whoever asks. A large group: the
  // caller holds no other large one.
  Plain get(std::uint32_t group);
  // Starts to decode in the background if that is not done or under way, and there is room.
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
    std::shared_ptr<const int>
        claims;  // as many owners as callers that are to get it, and this one
  };

  Plain decode(std::uint32_t group);
  Bytes read_reference(const format::Group& group);
  void decode_difference(const format::Group& group, ByteView packed, Bytes& plain,
                         const std::string& what);
  struct Claim {
    bool mine = false;                 // to be fulfilled by who made it
    std::shared_future<Plain> plain;   // not valid: there is no room
    std::shared_ptr<const int> token;  // keeps the group from going before it is taken
  };
  Claim claim(std::uint32_t group, std::promise<Plain>& promise, bool may_wait);
  void fulfil(std::uint32_t group, std::promise<Plain>& promise);
  void forget(std::uint32_t group);
  bool make_room_locked(std::uint32_t size);
  void evict_locked(bool large, std::uint64_t budget);
  std::uint64_t& held_of(std::uint32_t group);
  static bool is_idle(const Slot& slot);
  Plain lend(Plain plain);

  const format::Index& index_;
  const LeafSource& source_;
  std::uint64_t budget_;
  BaseReader* base_;
  std::uint64_t large_budget_;
  std::mutex alone_mutex_;  // held while a large group or one with a reference is decoded
  std::atomic<std::uint64_t> packed_read_{0};
  std::atomic<std::uint64_t> decoded_{0};
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, Slot> slots_;
  std::list<std::uint32_t> order_;  // most recent first
  std::uint64_t held_ = 0;
  std::uint64_t large_held_ = 0;
  std::condition_variable given_back_;  // a large group
  ThreadPool ahead_{1, 4};              // last member: its thread ends first
};

// Bytes of the recipe stream. Throws what GroupReader throws.
Bytes read_recipe_stream(GroupReader& groups, std::uint64_t offset, std::uint32_t size);

// The base runs whose bytes, joined, are the group's reference. Throws Error{index_invalid} when
// the list breaks docs/bundle-format.md section 4.5, and what GroupReader throws.
std::vector<format::Run> reference_runs(GroupReader& groups, const format::Group& group);

}  // namespace bundle::unpack
