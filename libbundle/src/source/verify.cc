#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <mutex>

#include "base/thread_pool.h"
#include "bundle/error.h"
#include "bundle/import.h"
#include "source/open_bundle.h"
#include "source/report.h"
#include "transfer/bundle_import.h"

namespace bundle {
namespace {

// Every copy of every leaf: a damaged second copy is damage too.
void check_leaf(const format::Index& index, const unpack::LeafSource& source, std::uint32_t leaf,
                Bytes& buffer) {
  // A header may leave out leaves: its checksum is no signature.
  if (!source.has(leaf)) unpack::read_verified_leaf(index, source, leaf);
  buffer.resize(index.leaf_place(leaf).size);
  for (std::size_t copy = 0; copy < source.copies(leaf); ++copy) {
    source.read(leaf, copy, buffer);
    if (format::hash_leaf(buffer) == index.leaf_hashes[leaf]) continue;
    throw Error(ErrorCode::pack_corrupt,
                fmt::format("{}: {} bytes do not match their signed digest",
                            source.where(leaf, copy), buffer.size()),
                "The medium is damaged there or was altered: copy that volume again from the "
                "original.");
  }
}

std::uint64_t check_leaves(const format::Index& index, const unpack::LeafSource& source,
                           std::size_t jobs, Progress& progress, const Cancel& cancel) {
  progress.phase("verifying", index.pack_size());
  std::atomic<std::uint32_t> next{0};
  std::mutex mutex;
  std::uint64_t done = 0;
  const auto count = static_cast<std::uint32_t>(index.leaf_hashes.size());
  run_workers(jobs, [&](const std::atomic<bool>& stop) {
    Bytes buffer;
    for (std::uint32_t leaf = next++; leaf < count && !stop; leaf = next++) {
      cancel.check();
      check_leaf(index, source, leaf, buffer);
      const std::lock_guard lock(mutex);
      progress.advance(done += buffer.size());
    }
  });
  return done;
}

}  // namespace

VerifyReport verify_bundle(const VerifyOptions& options, Progress& progress, const Cancel& cancel) {
  const auto start = std::chrono::steady_clock::now();
  const source::OpenedBundle opened = source::open_bundle(
      posix_file_system(), options.sources, {nullptr, options.trust, options.trust_fingerprint});
  const format::Index& index = opened.head.index;
  const unpack::VolumeLeaves media(opened.volumes, index);
  const auto missing = source::missing_volumes(opened.volumes, {});
  if (!missing.empty()) {
    throw Error(
        ErrorCode::volume_missing,
        fmt::format("volume {} of {} is not here", fmt::join(missing, ", "), opened.volumes.count),
        "Name all folders that hold volumes of this bundle.");
  }
  VerifyReport report;
  report.release = source::describe(opened);
  const std::size_t jobs = options.jobs == 0 ? default_workers() : options.jobs;
  report.bytes = check_leaves(index, media, jobs, progress, cancel);
  report.leaves = index.leaf_hashes.size();
  if (options.rebuild && !opened.head.bases().empty()) {
    throw Error(ErrorCode::base_missing, "a delta can only be rebuilt where its base is",
                "All its bytes match their signed digests. To prove its blobs import it at a site "
                "that holds the base release, or leave out --rebuild.");
  }
  if (options.rebuild) {
    unpack::GroupReader groups(index, media);
    report.blobs = transfer::prove_blobs(opened.head, groups, jobs, progress, cancel);
  }
  report.seconds = source::seconds_since(start);
  return report;
}

}  // namespace bundle
