// Plays deflate streams that are in parts: several threads make parts of one stream.
#pragma once

#include <future>
#include <optional>
#include <semaphore>

#include "base/thread_pool.h"
#include "codec/stream_parts.h"
#include "unpack/run_reader.h"

namespace bundle::unpack {

// Threads that encode parts, for all blobs that are rebuilt at the same time. Thread-safe.
// Memory: each slot in use has the plain bytes of a part and what is made of them: 6 MiB as built,
// 32 MiB by the format's limits.
class PartWorkers {
 public:
  static constexpr std::size_t kMaxSlots = 8;

  explicit PartWorkers(std::size_t threads);

  // The right to have one part under way.
  class Slot {
   public:
    explicit Slot(PartWorkers& workers) : workers_(&workers) {}
    Slot(Slot&& other) noexcept : workers_(std::exchange(other.workers_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(workers_, other.workers_);
      return *this;
    }
    ~Slot() {
      if (workers_ != nullptr) workers_->free_.release();
    }

   private:
    PartWorkers* workers_;
  };
  std::optional<Slot> try_slot();
  Slot wait_for_slot();  // never while holding one

  std::future<Bytes> encode(codec::PartInput input);

 private:
  std::counting_semaphore<kMaxSlots> free_;
  ThreadPool pool_;
};

// Plays a segment of kind deflate_parts. Parts that `out` passes over are not made.
void play_parts(format::RecipeReader& recipe, const format::Segment& segment, RunReader& runs,
                BoundedSink& out, PartWorkers* workers);

}  // namespace bundle::unpack
