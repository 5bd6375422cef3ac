#include "unpack/part_player.h"

#include <algorithm>
#include <deque>

#include "bundle/error.h"

namespace bundle::unpack {
namespace {

using codec::FlushAt;
using codec::PartInput;
using codec::StreamPart;

class AppendingSink final : public Sink {
 public:
  explicit AppendingSink(Bytes& to) : to_(to) {}
  void write(ByteView bytes) override { to_.insert(to_.end(), bytes.begin(), bytes.end()); }

 private:
  Bytes& to_;
};

// Prepares the parts of one stream in order, reading its bytes forward.
class PartReader {
 public:
  PartReader(const format::Segment& segment, SegmentBytes& bytes)
      : segment_(segment),
        bytes_(bytes),
        rule_(codec::restart_rule({segment.family, segment.params})) {
    AppendingSink verbatim(verbatim_);
    bytes_.read(format::verbatim_bytes(segment.parts), verbatim);
    for (const StreamPart& part : segment.parts) {
      for (const FlushAt& flush : part.flushes)
        flushes_.push_back({plain_size_ + flush.plain, flush.kind});
      plain_size_ += part.plain;
    }
    if (segment.parts.size() > 1 && rule_.unit == 0) refuse("of an encoder that cannot restart");
  }

  const StreamPart& part() const { return segment_.parts[number_]; }
  bool at_end() const { return number_ == segment_.parts.size(); }
  std::uint64_t bit() const { return bit_; }
  void next() {
    if (part().verbatim) verbatim_used_ += static_cast<std::size_t>((part().bits + 7) / 8);
    bit_ += part().bits;
    plain_ += part().plain;
    ++number_;
  }
  // All plain bytes must have been needed.
  void finish() {
    bytes_.skip(plain_size_ - std::min(plain_size_, window_start_ + window_.size()));
    if (!bytes_.at_end()) refuse("with more plain bytes than its parts have");
  }

  Bytes verbatim() const {
    const auto first = verbatim_.begin() + static_cast<std::ptrdiff_t>(verbatim_used_);
    Bytes bits(first, first + static_cast<std::ptrdiff_t>((part().bits + 7) / 8));
    const auto used = static_cast<unsigned>(part().bits % 8);
    if (used != 0) bits.back() &= static_cast<std::uint8_t>((1U << used) - 1);
    return shifted(bits, static_cast<unsigned>(bit_ % 8), part().bits);
  }
  PartInput input() {
    const std::uint64_t start = number_ == 0 ? 0 : codec::learning_start(rule_, flushes_, plain_);
    const std::uint64_t end = std::min(plain_size_, plain_ + part().plain + codec::kPartTail);
    move_window(start, end);
    PartInput input;
    input.spec = {segment_.family, segment_.params};
    input.plain = window_;
    input.learn = plain_ - start;
    input.phase = static_cast<unsigned>(bit_ % 8);
    input.bits = part().bits;
    for (const FlushAt& flush : flushes_) {
      if (flush.plain > start && flush.plain <= end)
        input.flushes.push_back({flush.plain - start, flush.kind});
    }
    return input;
  }

 private:
  [[noreturn]] static void refuse(std::string_view reason) {
    throw Error(ErrorCode::recipe_invalid, "a recipe has a deflate stream " + std::string(reason),
                std::string(format::kMadeWrong));
  }
  static Bytes shifted(const Bytes& bytes, unsigned phase, std::uint64_t bits) {
    Bytes out(static_cast<std::size_t>((phase + bits + 7) / 8));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      out[i] |= static_cast<std::uint8_t>(bytes[i] << phase);
      if (phase != 0 && i + 1 < out.size())
        out[i + 1] = static_cast<std::uint8_t>(bytes[i] >> (8 - phase));
    }
    return out;
  }
  void move_window(std::uint64_t start, std::uint64_t end) {
    const std::uint64_t held_end = window_start_ + window_.size();
    if (start >= held_end) {
      bytes_.skip(start - held_end);
      window_.clear();
    } else {
      window_.erase(window_.begin(),
                    window_.begin() + static_cast<std::ptrdiff_t>(start - window_start_));
    }
    window_start_ = start;
    AppendingSink sink(window_);
    const std::uint64_t have = start + window_.size();
    if (end > have) bytes_.read(end - have, sink);
  }

  const format::Segment& segment_;
  SegmentBytes& bytes_;
  const codec::RestartRule rule_;
  Bytes verbatim_;
  std::size_t verbatim_used_ = 0;
  std::vector<FlushAt> flushes_;  // of the stream
  std::uint64_t plain_size_ = 0;
  std::size_t number_ = 0;
  std::uint64_t plain_ = 0;  // before the part
  std::uint64_t bit_ = 0;
  Bytes window_;
  std::uint64_t window_start_ = 0;
};

// Parts under way, oldest first.
class PartQueue {
 public:
  PartQueue(PartWorkers* workers, codec::PartJoiner& joiner) : workers_(workers), joiner_(joiner) {}

  void add(PartReader& parts) {
    const std::uint64_t bits = parts.part().bits;
    if (parts.part().verbatim || workers_ == nullptr) {
      flush();
      joiner_.add(parts.part().verbatim ? parts.verbatim() : encode_part(parts.input()), bits);
      return;
    }
    // The bytes first: who waits for a group holds no slot.
    PartInput input = parts.input();
    std::optional<PartWorkers::Slot> slot = workers_->try_slot();
    for (; !slot && !pending_.empty(); slot = workers_->try_slot()) take_first();
    if (!slot) slot.emplace(workers_->wait_for_slot());
    pending_.push_back({std::move(*slot), workers_->encode(std::move(input)), bits});
  }
  void flush() {
    while (!pending_.empty()) take_first();
  }

 private:
  struct Pending {
    PartWorkers::Slot slot;
    std::future<Bytes> bytes;
    std::uint64_t bits;
  };
  void take_first() {
    joiner_.add(pending_.front().bytes.get(), pending_.front().bits);
    pending_.pop_front();
  }

  PartWorkers* workers_;
  codec::PartJoiner& joiner_;
  std::deque<Pending> pending_;
};

}  // namespace

PartWorkers::PartWorkers(std::size_t threads)
    : free_(static_cast<std::ptrdiff_t>(std::min(threads + 1, kMaxSlots))),
      pool_(threads, kMaxSlots) {}

std::optional<PartWorkers::Slot> PartWorkers::try_slot() {
  if (!free_.try_acquire()) return std::nullopt;
  return std::optional<Slot>(std::in_place, *this);
}

PartWorkers::Slot PartWorkers::wait_for_slot() {
  free_.acquire();
  return Slot(*this);
}

std::future<Bytes> PartWorkers::encode(codec::PartInput input) {
  auto shared = std::make_shared<codec::PartInput>(std::move(input));
  return pool_.submit([shared] {
    Bytes bytes = encode_part(*shared);
    *shared = {};
    return bytes;
  });
}

void play_parts(format::RecipeReader& recipe, const format::Segment& segment, RunReader& runs,
                BoundedSink& out, PartWorkers* workers) {
  SegmentBytes bytes(recipe, segment, runs);
  PartReader parts(segment, bytes);
  // What the caller has is not made, as far as it ends on a byte of its own.
  const std::uint64_t passable = out.passable();
  while (!parts.at_end() && (parts.bit() + parts.part().bits + 7) / 8 <= passable) parts.next();
  out.pass_over(parts.bit() / 8);
  codec::PartJoiner joiner(out, parts.bit());
  PartQueue queue(workers, joiner);
  runs.before_large_group([&queue] { queue.flush(); });
  for (; !parts.at_end(); parts.next()) queue.add(parts);
  runs.before_large_group({});
  queue.flush();
  parts.finish();
}

}  // namespace bundle::unpack
