// Which ranges of base blobs one group's frame may point into.
#pragma once

#include <map>
#include <utility>

#include "format/recipe.h"

namespace bundle::pack {

// Ranges, joined where they touch. Memory: about 60 bytes a range.
class ReferenceSet {
 public:
  bool empty() const { return ranges_.empty(); }
  std::uint64_t bytes() const { return bytes_; }
  std::size_t ranges() const { return ranges_.size(); }

  void add(const format::Run& run);
  // In the order of the base: what the site reads forward.
  std::vector<format::Run> runs() const;

 private:
  struct Range {
    std::uint64_t end = 0;
    std::uint8_t source = 0;
  };
  // By number of the base blob and offset; a blob is read by one source only.
  std::map<std::pair<std::uint32_t, std::uint64_t>, Range> ranges_;
  std::uint64_t bytes_ = 0;
};

}  // namespace bundle::pack
