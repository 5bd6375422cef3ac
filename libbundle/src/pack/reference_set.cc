#include "pack/reference_set.h"

#include <algorithm>
#include <iterator>

namespace bundle::pack {

void ReferenceSet::add(const format::Run& run) {
  if (run.length == 0) return;
  std::uint64_t start = run.offset;
  std::uint64_t end = run.offset + run.length;
  auto place = ranges_.upper_bound({run.base_blob, start});
  if (place != ranges_.begin()) {
    const auto before = std::prev(place);
    if (before->first.first == run.base_blob && before->second.end >= start) place = before;
  }
  while (place != ranges_.end() && place->first.first == run.base_blob &&
         place->first.second <= end) {
    start = std::min(start, place->first.second);
    end = std::max(end, place->second.end);
    bytes_ -= place->second.end - place->first.second;
    place = ranges_.erase(place);
  }
  ranges_[{run.base_blob, start}] = {end, run.source};
  bytes_ += end - start;
}

std::vector<format::Run> ReferenceSet::runs() const {
  std::vector<format::Run> runs;
  runs.reserve(ranges_.size());
  for (const auto& [start, range] : ranges_) {
    runs.push_back({range.source, start.first, start.second, range.end - start.second});
  }
  return runs;
}

}  // namespace bundle::pack
