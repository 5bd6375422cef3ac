#include "unpack/group_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "bundle/error.h"
#include "codec/difference.h"
#include "codec/x86_filter.h"
#include "codec/zstd.h"
#include "format/recipe.h"

namespace bundle::unpack {
namespace {

// Collects into memory that was reserved: growing step by step would take twice as much.
class ReservedSink final : public Sink {
 public:
  explicit ReservedSink(std::size_t size) { bytes_.reserve(size); }
  void write(ByteView bytes) override { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

[[noreturn]] void throw_missing(std::uint32_t leaf) {
  throw Error(ErrorCode::volume_missing,
              fmt::format("leaf {} of the bundle is on a volume that is not here", leaf),
              "Insert the stick that holds the missing volume and run the same command again.");
}

[[noreturn]] void throw_corrupt(const LeafSource& source, std::uint32_t leaf, std::size_t size) {
  throw Error(ErrorCode::pack_corrupt,
              fmt::format("{}: {} bytes do not match their signed digest (leaf {})",
                          source.where(leaf, 0), size, leaf),
              fmt::format("The medium is damaged there or was altered. Copy that volume again from "
                          "the original; a repair needs only these {} bytes. Nothing was lost: run "
                          "the same command again afterwards.",
                          size));
}

}  // namespace

Bytes read_verified_leaf(const format::Index& index, const LeafSource& source, std::uint32_t leaf) {
  const std::size_t copies = source.copies(leaf);
  if (copies == 0) throw_missing(leaf);
  Bytes bytes(index.leaf_place(leaf).size);
  for (std::size_t copy = 0; copy < copies; ++copy) {
    source.read(leaf, copy, bytes);
    if (format::hash_leaf(bytes) == index.leaf_hashes[leaf]) return bytes;
  }
  throw_corrupt(source, leaf, bytes.size());
}

bool has_group(const LeafSource& source, const format::Group& group) {
  for (std::uint32_t i = 0; i < group.leaf_count(); ++i) {
    if (!source.has(group.first_leaf + i)) return false;
  }
  return true;
}

GroupReader::GroupReader(const format::Index& index, const LeafSource& source, std::uint64_t budget,
                         BaseReader* base, std::uint64_t large_budget)
    : index_(index), source_(source), budget_(budget), base_(base), large_budget_(large_budget) {
  if (std::ranges::any_of(index.groups, is_large)) budget_ = std::min(budget_, kSmallBudget);
}

BaseReader& GroupReader::base() const {
  if (base_ != nullptr) return *base_;
  throw Error(ErrorCode::base_missing,
              "this bundle is a delta: its blobs are made from those of a base release",
              "Import it at a site that holds the base release.");
}

Bytes GroupReader::read_reference(const format::Group& group) {
  const std::vector<format::Run> runs = reference_runs(*this, group);
  std::uint64_t size = 0;
  for (const format::Run& run : runs) size += run.length;
  ReservedSink reference(static_cast<std::size_t>(size));
  BaseCursors cursors(base());
  for (const format::Run& run : runs) cursors.copy(run, reference);
  return reference.take();
}

void GroupReader::decode_difference(const format::Group& group, ByteView packed, Bytes& plain,
                                    const std::string& what) {
  const std::uint64_t size = codec::zstd_content_size(packed, what);
  if (size > group.plain_size + format::kMaxDifferenceTable) {
    throw Error(ErrorCode::bomb, fmt::format("{}: inflates beyond its limit", what),
                std::string(format::kMadeWrong));
  }
  const Bytes reference = read_reference(group);
  Bytes difference(static_cast<std::size_t>(size));
  codec::zstd_decompress(packed, difference, what, reference);
  codec::apply_difference(reference, difference, plain, what);
}

GroupReader::Plain GroupReader::decode(std::uint32_t number) {
  const format::Group& group = index_.groups[number];
  std::unique_lock alone(alone_mutex_, std::defer_lock);
  if (is_large(group) || group.reference_size != 0) alone.lock();
  Bytes packed;
  packed.reserve(group.packed_size);
  for (std::uint32_t i = 0; i < group.leaf_count(); ++i) {
    const Bytes leaf = read_verified_leaf(index_, source_, group.first_leaf + i);
    packed.insert(packed.end(), leaf.begin(), leaf.end());
  }
  packed_read_.fetch_add(packed.size(), std::memory_order_relaxed);
  decoded_.fetch_add(1, std::memory_order_relaxed);
  auto plain = std::make_shared<Bytes>(group.plain_size);
  const std::string what = fmt::format("group {} of the bundle", number);
  if (group.filter == format::Filter::difference) {
    decode_difference(group, packed, *plain, what);
  } else if (group.reference_size == 0) {
    codec::zstd_decompress(packed, *plain, what);
  } else {
    codec::zstd_decompress(packed, *plain, what, read_reference(group));
  }
  if (group.filter == format::Filter::x86) codec::x86_filter_decode(*plain);
  return plain;
}

// Finds the group's slot or makes one that the caller (`mine`) must fulfil.
GroupReader::Claim GroupReader::claim(std::uint32_t group, std::promise<Plain>& promise,
                                      bool may_wait) {
  const std::uint32_t size = index_.groups[group].plain_size;
  const bool large = is_large(index_.groups[group]);
  std::unique_lock lock(mutex_);
  while (true) {
    if (const auto found = slots_.find(group); found != slots_.end()) {
      order_.splice(order_.begin(), order_, found->second.order);
      return {false, found->second.plain, found->second.claims};
    }
    if (!large || make_room_locked(size)) break;
    if (!may_wait) return {};
    given_back_.wait(lock);
  }
  order_.push_front(group);
  const Claim claim{true, promise.get_future().share(), std::make_shared<int>()};
  slots_.emplace(group, Slot{claim.plain, order_.begin(), size, claim.token});
  held_of(group) += size;
  if (!large) evict_locked(false, budget_);
  return claim;
}

std::uint64_t& GroupReader::held_of(std::uint32_t group) {
  return is_large(index_.groups[group]) ? large_held_ : held_;
}

// Room for one more large group. One alone always has room.
bool GroupReader::make_room_locked(std::uint32_t size) {
  evict_locked(true, large_budget_ - std::min<std::uint64_t>(large_budget_, size));
  return large_held_ == 0 || large_held_ + size <= large_budget_;
}

// Least recently used first, but never a group that somebody reads from or decodes right now: that
// would free nothing and cost another decoding.
void GroupReader::evict_locked(bool large, std::uint64_t budget) {
  std::uint64_t& held = large ? large_held_ : held_;
  for (auto place = order_.end(); held > budget && place != order_.begin();) {
    --place;
    const auto slot = slots_.find(*place);
    if (is_large(index_.groups[*place]) != large || !is_idle(slot->second)) continue;
    held -= slot->second.size;
    slots_.erase(slot);
    place = order_.erase(place);
  }
}

bool GroupReader::is_idle(const Slot& slot) {
  const bool ready = slot.plain.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  return ready && slot.claims.use_count() == 1 && slot.plain.get().use_count() == 1;
}

// A large group that tells when it is given back.
GroupReader::Plain GroupReader::lend(Plain plain) {
  const Bytes* const bytes = plain.get();
  return {bytes, [this, plain = std::move(plain)](const Bytes*) mutable {
            {
              const std::lock_guard lock(mutex_);
              plain.reset();
            }
            given_back_.notify_all();
          }};
}

void GroupReader::fulfil(std::uint32_t group, std::promise<Plain>& promise) {
  try {
    promise.set_value(decode(group));
  } catch (...) {
    // A failed read may succeed later (another stick): it is forgotten before it is told.
    forget(group);
    promise.set_exception(std::current_exception());
  }
}

void GroupReader::forget(std::uint32_t group) {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(group);
  if (found == slots_.end()) return;
  held_of(group) -= found->second.size;
  order_.erase(found->second.order);
  slots_.erase(found);
  given_back_.notify_all();
}

GroupReader::Plain GroupReader::get(std::uint32_t group) {
  std::promise<Plain> promise;
  const Claim claimed = claim(group, promise, true);
  if (claimed.mine) fulfil(group, promise);
  return is_large(index_.groups[group]) ? lend(claimed.plain.get()) : claimed.plain.get();
}

void GroupReader::read_ahead(std::uint32_t group) {
  auto promise = std::make_shared<std::promise<Plain>>();
  if (!claim(group, *promise, false).mine) return;
  ahead_.submit([this, group, promise]() mutable {
    fulfil(group, *promise);
    promise.reset();
    // Idle from now on, unless somebody took it. Who has just looked is waiting when the lock is
    // free.
    const std::lock_guard lock(mutex_);
    given_back_.notify_all();
  });
}

Bytes read_recipe_stream(GroupReader& groups, std::uint64_t offset, std::uint32_t size) {
  const format::Index& index = groups.index();
  Bytes recipe;
  recipe.reserve(size);
  while (recipe.size() < size) {
    const format::Group& group = *index.find_group(format::kRecipeStream, offset);
    const auto plain = groups.get(index.group_number(group));
    const auto within = static_cast<std::size_t>(offset - group.plain_offset);
    const std::size_t part = std::min(size - recipe.size(), plain->size() - within);
    const ByteView bytes = ByteView(*plain).subspan(within, part);
    recipe.insert(recipe.end(), bytes.begin(), bytes.end());
    offset += part;
  }
  return recipe;
}

std::vector<format::Run> reference_runs(GroupReader& groups, const format::Group& group) {
  const format::Index& index = groups.index();
  const auto refuse = [&](std::string_view reason) {
    throw Error(ErrorCode::index_invalid,
                fmt::format("the reference of group {} {}", index.group_number(group), reason),
                std::string(format::kMadeWrong));
  };
  const Bytes list = read_recipe_stream(groups, group.reference_offset, group.reference_size);
  format::RecipeReader reader(list, index, Digest());
  std::vector<format::Run> runs;
  std::uint64_t bytes = 0;
  format::Segment segment;
  while (reader.next_segment(segment)) {
    if (segment.kind != format::SegmentKind::plain) refuse("is not made of base blobs alone");
    for (std::uint64_t i = 0; i < segment.runs; ++i) {
      runs.push_back(reader.next_run());
      if (!format::is_base_source(runs.back().source)) refuse("is not made of base blobs alone");
      if (runs.back().length > format::kMaxReferenceBytes - bytes) refuse("is too large");
      bytes += runs.back().length;
    }
  }
  const std::uint64_t copies = group.filter == format::Filter::difference ? 2 : 1;
  if (bytes + copies * group.plain_size > format::kMaxReferencedGroupBytes)
    refuse("and the group are too large");
  return runs;
}

}  // namespace bundle::unpack
