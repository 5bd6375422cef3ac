// First readings of the next blobs, on threads of their own, while one is packed.
#pragma once

#include <deque>
#include <future>
#include <vector>

#include "base/thread_pool.h"
#include "pack/blob_packer.h"

namespace bundle::pack {

// Finding the encoder of a layer takes longer than packing it, and needs nothing of other blobs.
// What comes out is the same with any number of threads. One thread calls. Memory: `jobs` analyses
// at work or waiting (pack/gzip_analysis.h).
class StudyAhead {
 public:
  // All arguments outlive this. `blobs` in the order in which they will be packed.
  StudyAhead(const BlobPacker& packer, std::vector<const spec::BlobInput*> blobs, std::size_t jobs,
             const Cancel& cancel);
  // Stops what is at work.
  ~StudyAhead();

  // Of the next blob. Throws what BlobPacker::study() throws for it; Error{cancelled}.
  StudiedBlob next();

 private:
  void begin_one();

  const BlobPacker& packer_;
  const std::vector<const spec::BlobInput*> blobs_;
  const Cancel& cancel_;
  Cancel stop_;
  std::size_t begun_ = 0;
  std::deque<std::future<StudiedBlob>> studies_;
  ThreadPool threads_;  // ends first: its tasks use the others
};

}  // namespace bundle::pack
