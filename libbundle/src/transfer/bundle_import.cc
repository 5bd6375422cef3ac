#include "transfer/bundle_import.h"

#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <functional>

#include "base/thread_pool.h"
#include "bundle/error.h"
#include "unpack/part_player.h"
#include "unpack/recipe_player.h"

namespace bundle::transfer {
namespace {

constexpr std::string_view kVolumeSeenPrefix = "volume-";
constexpr std::size_t kCopyBytes = 256 << 10;
constexpr std::string_view kSourceHint =
    "The mirror or the medium is damaged there: repair it ('mirror-sync check --repair', or import "
    "the release there again), or take another one. What was good of it is here already.";

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// Sums what several workers do into one monotone progress.
class SharedProgress {
 public:
  explicit SharedProgress(Progress& progress) : progress_(progress) {}
  void add(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    done_ += bytes;
    progress_.advance(done_);
  }
  std::uint64_t done() const { return done_; }

 private:
  Progress& progress_;
  std::mutex mutex_;
  std::uint64_t done_ = 0;
};

class CountingSink final : public Sink {
 public:
  CountingSink(Sink& out, SharedProgress& progress) : out_(out), progress_(progress) {}
  ~CountingSink() override { progress_.add(pending_); }
  CountingSink(const CountingSink&) = delete;
  CountingSink& operator=(const CountingSink&) = delete;

  void write(ByteView bytes) override {
    out_.write(bytes);
    pending_ += bytes.size();
    if (pending_ < kStep) return;
    progress_.add(pending_);
    pending_ = 0;
  }

 private:
  static constexpr std::uint64_t kStep = 1 << 20;
  Sink& out_;
  SharedProgress& progress_;
  std::uint64_t pending_ = 0;
};

// Runs work(i) for i in [0, count) on `jobs` threads, in order of start.
void run_parallel(std::size_t count, std::size_t jobs,
                  const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  run_workers(jobs, [&](const std::atomic<bool>& stop) {
    for (std::size_t i = next++; i < count && !stop; i = next++) work(i);
  });
}

// No byte more than the blob has, whatever the source yields.
void copy_plain(const unpack::BlobSource& from, const format::BlobEntry& blob, Sink& out,
                const Cancel& cancel, std::uint64_t offset) {
  if (offset == blob.size) return;
  const auto source = from.open(blob, offset);
  Bytes buffer(kCopyBytes);
  std::uint64_t left = blob.size - offset;
  while (const std::size_t count = source->read(buffer)) {
    cancel.check();
    if (count > left) {
      throw Error(ErrorCode::blob_mismatch,
                  fmt::format("{} has more than {} bytes", from.where(blob), blob.size),
                  std::string(kSourceHint));
    }
    out.write(ByteView(buffer).first(count));
    left -= count;
  }
}

// Makes one blob; may be called again from another offset.
struct Maker {
  const plan::PlannedBlob& blob;
  const BlobOrigin& from;
  unpack::PartWorkers& parts;
  const Cancel& cancel;
  Bytes recipe{};

  void operator()(Sink& out, std::uint64_t offset) {
    if (blob.indexed == nullptr) return copy_plain(*from.plain, blob.entry, out, cancel, offset);
    unpack::play_recipe(from.groups, recipe, blob.entry, out, cancel, offset, &parts);
  }
  // What the operator looks at: a recipe is the vendor's, a plain blob lies somewhere.
  Error explain(const Error& error) const {
    if (blob.indexed != nullptr || error.code() != ErrorCode::blob_mismatch) return error;
    return {ErrorCode::blob_mismatch,
            fmt::format("{} does not match its signed digest", from.plain->where(blob.entry)),
            std::string(kSourceHint)};
  }
};

void rebuild_once(Maker& make, store::StoreWriter& writer, SharedProgress& progress) {
  auto out = writer.begin_blob(make.blob.entry, true);
  const std::uint64_t offset = out->offset();
  progress.add(offset);
  {
    CountingSink counted(*out, progress);
    make(counted, offset);
  }
  const auto commit = [&] {
    try {
      writer.commit_blob(std::move(out));
    } catch (const Error& error) {
      throw make.explain(error);
    }
  };
  try {
    commit();
  } catch (const Error& error) {
    // The bytes that an earlier run had left may be the bad ones: they are gone now, once more
    // from the start.
    if (error.code() != ErrorCode::blob_mismatch || offset == 0) throw;
    out = writer.begin_blob(make.blob.entry, false);
    make(*out, 0);
    commit();
  }
}

}  // namespace

StagedLeaves::StagedLeaves(const store::SiteStore* store, const format::BundleId& bundle,
                           const format::Index& index) {
  if (store == nullptr) return;
  fs_ = &store->fs();
  folder_ = store->staging_dir() / to_hex(bundle);
  present_.resize(index.leaf_hashes.size(), false);
  if (!fs_->status(folder_)) return;
  for (const std::string& name : fs_->list(folder_)) {
    if (name.starts_with(kVolumeSeenPrefix)) {
      const auto volume = parse_number(std::string_view(name).substr(kVolumeSeenPrefix.size()));
      if (volume) volumes_seen_.push_back(*volume);
      continue;
    }
    const auto leaf = parse_number(name);
    if (!leaf || *leaf >= present_.size()) continue;
    const auto status = fs_->status(folder_ / name);
    present_[*leaf] = status && status->size == index.leaf_place(*leaf).size;
  }
}

void StagedLeaves::read(std::uint32_t leaf, std::size_t, std::span<std::uint8_t> buffer) const {
  if (fs_->open(path(leaf))->read_at(0, buffer) != buffer.size()) {
    throw Error(ErrorCode::io_error, fmt::format("{} ends early", path(leaf).string()));
  }
}

std::string StagedLeaves::where(std::uint32_t leaf, std::size_t) const {
  return fmt::format("{} (staged by an earlier import; remove it to have it read again)",
                     path(leaf).string());
}

void JoinedLeaves::read(std::uint32_t leaf, std::size_t copy,
                        std::span<std::uint8_t> buffer) const {
  const std::size_t first = first_.copies(leaf);
  if (copy < first) return first_.read(leaf, copy, buffer);
  second_.read(leaf, copy - first, buffer);
}

std::string JoinedLeaves::where(std::uint32_t leaf, std::size_t copy) const {
  const std::size_t first = first_.copies(leaf);
  return copy < first ? first_.where(leaf, copy) : second_.where(leaf, copy - first);
}

std::uint64_t rebuild_blobs(const plan::ImportPlan& plan, const BlobOrigin& from,
                            store::StoreWriter& writer, std::size_t jobs, Progress& progress,
                            const Cancel& cancel) {
  progress.phase("importing", plan.bytes_ready);
  SharedProgress shared(progress);
  unpack::PartWorkers parts(jobs);
  run_parallel(plan.ready.size(), jobs, [&](std::size_t i) {
    cancel.check();
    Maker make{plan.ready[i], from, parts, cancel};
    if (make.blob.indexed != nullptr) {
      make.recipe = unpack::read_recipe(from.groups, *make.blob.indexed);
    }
    rebuild_once(make, writer, shared);
  });
  writer.flush_blobs();
  return shared.done();
}

std::uint64_t prove_blobs(const unpack::VerifiedHead& head, unpack::GroupReader& groups,
                          std::size_t jobs, Progress& progress, const Cancel& cancel) {
  progress.phase("rebuilding", head.release->blob_bytes);
  SharedProgress shared(progress);
  unpack::PartWorkers parts(jobs);
  run_parallel(head.index.blobs.size(), jobs, [&](std::size_t i) {
    const format::IndexedBlob& blob = head.index.blobs[i];
    const format::BlobEntry& entry = *unpack::find_blob(head.blobs, blob.digest);
    Sha256 hash;
    {
      CountingSink counted(hash, shared);
      unpack::play_recipe(groups, unpack::read_recipe(groups, blob), entry, counted, cancel, 0,
                          &parts);
    }
    if (hash.finish() != entry.digest) {
      throw Error(ErrorCode::blob_mismatch,
                  fmt::format("the recipe of blob {} yields other bytes", entry.digest.text()),
                  "The bundle was made wrong: ask the vendor for a new one.");
    }
  });
  return head.index.blobs.size();
}

}  // namespace bundle::transfer
