// The bundle index: docs/bundle-format.md section 4.
#pragma once

#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "format/blob_list.h"
#include "format/limits.h"

namespace bundle::format {

inline constexpr std::string_view kIndexMagic = "BNDLIDX1";
inline constexpr std::uint32_t kIndexVersion = 1;
inline constexpr std::uint32_t kLeafSize = 1 << 20;
inline constexpr std::size_t kIndexHeaderSize = 64;
inline constexpr std::size_t kGroupEntrySize = 24;
inline constexpr std::size_t kBlobEntrySize = 48;
inline constexpr std::uint8_t kStreamCount = 12;
inline constexpr std::uint8_t kRecipeStream = 0;

enum class Feature : std::uint32_t {
  deflate_zlib = 1,
  base = 2,
  group_reference = 3,
  deflate_go = 4,
  deflate_klauspost = 5,
  deflate_klauspost_more = 6,  // further levels and versions
  deflate_pigz = 7,
  deflate_tokens = 8,
  deflate_parts = 9,  // segments of kind 3
  x86_filter = 10,
  difference = 11,
};

// Features that this reader has.
std::span<const Feature> known_features();

// What was done to a group's plain bytes before they were compressed.
enum class Filter : std::uint8_t {
  none = 0,
  x86 = 1,
  difference = 2,  // from the group's reference
};

struct Group {
  std::uint8_t stream = 0;
  Filter filter = Filter::none;
  std::uint8_t window_log = 0;
  std::uint32_t plain_size = 0;
  std::uint32_t packed_size = 0;
  // A recipe in stream 0 that yields the frame's raw-content prefix out of base blobs; size 0:
  // none.
  std::uint32_t reference_size = 0;
  std::uint64_t reference_offset = 0;

  // Derived, not on disk:
  std::uint64_t plain_offset = 0;   // in its stream
  std::uint64_t packed_offset = 0;  // in the pack stream
  std::uint32_t first_leaf = 0;

  std::uint32_t leaf_count() const { return (packed_size + kLeafSize - 1) / kLeafSize; }
};

struct IndexedBlob {
  Digest digest;
  std::uint64_t recipe_offset = 0;
  std::uint32_t recipe_size = 0;
};

// Where one leaf lies.
struct LeafPlace {
  std::uint64_t packed_offset = 0;
  std::uint32_t size = 0;
};

// A decoded index. About 1.3 times its file in memory. Immutable once decoded; thread-safe.
class Index {
 public:
  std::vector<std::uint32_t> features;
  std::vector<Group> groups;
  std::vector<Digest> leaf_hashes;
  std::vector<IndexedBlob> blobs;
  // The blobs that base runs name by number, from the document bases.list; not in the file `index`.
  std::vector<BlobEntry> base_blobs;

  std::uint64_t pack_size() const;
  std::uint64_t stream_size(std::uint8_t stream) const;
  // The group of `stream` that holds plain offset `offset`, or nothing past the end.
  const Group* find_group(std::uint8_t stream, std::uint64_t offset) const;
  std::uint32_t group_number(const Group& group) const {
    return static_cast<std::uint32_t>(&group - groups.data());
  }
  LeafPlace leaf_place(std::uint32_t leaf) const;
  const Group& group_of_leaf(std::uint32_t leaf) const;

  // Fills the derived fields of `groups` and the tables behind the calls above; to be called once
  // after `groups` is complete.
  void derive();

 private:
  std::vector<std::vector<std::uint32_t>> groups_of_stream_;
};

Digest hash_leaf(ByteView leaf);

Bytes encode_index(const Index& index);
// `bytes` are verified already. Throws Error{index_invalid}, or Error{unsupported} naming the
// features that this reader lacks.
Index decode_index(ByteView bytes);

}  // namespace bundle::format
