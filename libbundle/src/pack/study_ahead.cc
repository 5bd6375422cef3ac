#include "pack/study_ahead.h"

#include <chrono>
#include <utility>

namespace bundle::pack {
namespace {

constexpr std::chrono::milliseconds kCancelPoll{100};

}  // namespace

StudyAhead::StudyAhead(const BlobPacker& packer, std::vector<const spec::BlobInput*> blobs,
                       std::size_t jobs, const Cancel& cancel)
    : packer_(packer), blobs_(std::move(blobs)), cancel_(cancel), threads_(jobs, jobs) {
  for (std::size_t i = 0; i < jobs; ++i) begin_one();
}

StudyAhead::~StudyAhead() {
  stop_.request();
}

void StudyAhead::begin_one() {
  if (begun_ == blobs_.size()) return;
  const spec::BlobInput& blob = *blobs_[begun_++];
  studies_.push_back(threads_.submit([this, &blob] { return packer_.study(blob, stop_); }));
}

StudiedBlob StudyAhead::next() {
  std::future<StudiedBlob> study = std::move(studies_.front());
  studies_.pop_front();
  while (study.wait_for(kCancelPoll) != std::future_status::ready) cancel_.check();
  StudiedBlob studied = study.get();
  begin_one();
  return studied;
}

}  // namespace bundle::pack
