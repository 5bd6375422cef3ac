#include "transfer/leaf_fetch.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "transfer/origin.h"

namespace bundle::transfer {

FetchedLeaves::FetchedLeaves(const format::Index& index, const unpack::VolumeLeaves& remote,
                             StagedLeaves& staged)
    : index_(index),
      remote_(remote),
      staged_(staged),
      states_(index.leaf_hashes.size(), State::remote) {
  for (std::uint32_t leaf = 0; leaf < states_.size(); ++leaf) {
    if (staged_.has(leaf)) states_[leaf] = State::kept;
  }
}

FetchedLeaves::~FetchedLeaves() {
  stop();
}

void FetchedLeaves::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::size_t FetchedLeaves::copies(std::uint32_t leaf) const {
  const std::lock_guard lock(mutex_);
  const std::size_t far = remote_.copies(leaf);
  return states_[leaf] == State::remote ? far : far + 1;
}

void FetchedLeaves::read(std::uint32_t leaf, std::size_t copy,
                         std::span<std::uint8_t> buffer) const {
  bool kept = false;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(
        lock, [&] { return states_[leaf] != State::wanted || failure_ != nullptr || stopping_; });
    if (states_[leaf] == State::wanted) {
      if (failure_ != nullptr) std::rethrow_exception(failure_);
      throw Error(ErrorCode::cancelled, "the download was stopped");
    }
    kept = states_[leaf] == State::kept;
  }
  if (kept && copy == 0) return staged_.read(leaf, 0, buffer);
  remote_.read(leaf, kept ? copy - 1 : copy, buffer);
}

std::string FetchedLeaves::where(std::uint32_t leaf, std::size_t copy) const {
  // A kept leaf was good when it came: what matters to people is the origin's copy.
  const std::size_t far = remote_.copies(leaf);
  return remote_.where(leaf, std::min(copy, far - 1));
}

std::vector<FetchedLeaves::Range> FetchedLeaves::cut_ranges(
    const std::vector<std::uint32_t>& leaves, std::size_t connections) const {
  std::uint64_t total = 0;
  for (const std::uint32_t leaf : leaves) total += index_.leaf_place(leaf).size;
  const std::uint64_t most =
      std::clamp(total / (connections * kFetchesPerConnection), kMinFetchBytes, kMaxFetchBytes);
  std::vector<Range> ranges;
  unpack::VolumeLeaves::Place end;  // behind the last range
  std::uint64_t bytes = 0;
  for (const std::uint32_t leaf : leaves) {
    const unpack::VolumeLeaves::Place place = remote_.place(leaf, 0);
    const std::uint32_t size = index_.leaf_place(leaf).size;
    const bool follows = !ranges.empty() && ranges.back().first + ranges.back().count == leaf &&
                         place.file == end.file && place.offset == end.offset;
    if (follows && bytes + size <= most) {
      ++ranges.back().count;
    } else {
      ranges.push_back({leaf, 1});
      bytes = 0;
    }
    bytes += size;
    end = {place.file, place.offset + size};
  }
  return ranges;
}

void FetchedLeaves::start(Job job, store::StoreWriter& writer, const Cancel& cancel) {
  bundle_ = job.bundle;
  writer_ = &writer;
  cancel_ = &cancel;
  std::erase_if(job.leaves, [&](std::uint32_t leaf) { return states_[leaf] == State::kept; });
  const std::size_t connections = std::max<std::size_t>(job.connections, 1);
  ranges_ = cut_ranges(job.leaves, connections);
  for (const std::uint32_t leaf : job.leaves) states_[leaf] = State::wanted;
  const std::size_t count = std::min(connections, ranges_.size());
  for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
}

void FetchedLeaves::work() {
  try {
    for (;;) {
      Range range;
      {
        const std::lock_guard lock(mutex_);
        if (stopping_ || failure_ != nullptr || next_range_ == ranges_.size()) return;
        range = ranges_[next_range_++];
      }
      fetch(range);
    }
  } catch (...) {
    fail();
  }
}

void FetchedLeaves::fail() {
  {
    const std::lock_guard lock(mutex_);
    if (failure_ == nullptr) failure_ = std::current_exception();
  }
  changed_.notify_all();
}

void FetchedLeaves::fetch(const Range& range) {
  const unpack::VolumeLeaves::Place place = remote_.place(range.first, 0);
  std::uint64_t length = 0;
  for (std::uint32_t i = 0; i < range.count; ++i) length += index_.leaf_place(range.first + i).size;
  const auto source = dynamic_cast<const RemoteFile&>(*place.file).stream(place.offset, length);
  for (std::uint32_t i = 0; i < range.count; ++i) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || failure_ != nullptr) return;
    }
    cancel_->check();
    keep(range.first + i, read_good_leaf(*source, range.first + i));
  }
  // To the end, so that the connection can serve the next range.
  std::uint8_t nothing = 0;
  source->read({&nothing, 1});
}

// A proxy may have spoilt it on the way: asked for once more by itself.
Bytes FetchedLeaves::read_good_leaf(Source& source, std::uint32_t leaf) const {
  Bytes bytes(index_.leaf_place(leaf).size);
  if (read_full(source, bytes) == bytes.size() &&
      format::hash_leaf(bytes) == index_.leaf_hashes[leaf]) {
    return bytes;
  }
  return unpack::read_verified_leaf(index_, remote_, leaf);
}

void FetchedLeaves::keep(std::uint32_t leaf, ByteView bytes) {
  writer_->stage_leaf(bundle_, leaf, bytes);
  {
    const std::lock_guard lock(mutex_);
    states_[leaf] = State::kept;
  }
  changed_.notify_all();
}

}  // namespace bundle::transfer
