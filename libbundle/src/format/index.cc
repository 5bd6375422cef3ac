#include "format/index.h"

#include <algorithm>
#include <array>

#include "format/byte_reader.h"

namespace bundle::format {
namespace {

constexpr auto kKnown = std::to_array(
    {Feature::deflate_zlib, Feature::base, Feature::group_reference, Feature::deflate_go,
     Feature::deflate_klauspost, Feature::deflate_klauspost_more, Feature::deflate_pigz,
     Feature::deflate_tokens, Feature::deflate_parts, Feature::x86_filter, Feature::difference});
constexpr std::uint8_t kLeafPrefix = 0x00;  // RFC 6962 section 2.1: leaf hashes are set apart

void check_features(const std::vector<std::uint32_t>& features) {
  std::string missing;
  for (const std::uint32_t id : features) {
    if (std::ranges::find(kKnown, static_cast<Feature>(id)) == kKnown.end()) {
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", id);
    }
  }
  if (!missing.empty()) {
    throw Error(
        ErrorCode::unsupported,
        fmt::format("the bundle needs format features that this program lacks: {}", missing),
        "Use the newer bundle-import that came with the release. Nothing was written.");
  }
}

bool needs(const Index& index, Feature feature) {
  return std::ranges::find(index.features, static_cast<std::uint32_t>(feature)) !=
         index.features.end();
}

Filter decode_filter(ByteReader& in, const Group& group, const Index& index) {
  const auto filter = static_cast<Filter>(in.le<std::uint8_t>());
  if (filter == Filter::none) return filter;
  if (filter != Filter::x86 && filter != Filter::difference) in.fail("has an unknown filter");
  const Feature feature = filter == Filter::x86 ? Feature::x86_filter : Feature::difference;
  if (!needs(index, feature)) in.fail("has a filter without saying so");
  if (group.stream == kRecipeStream) in.fail("has recipes with a filter");
  return filter;
}

Group decode_group(ByteReader& in, const Index& index) {
  Group group;
  group.stream = in.le<std::uint8_t>();
  group.window_log = in.le<std::uint8_t>();
  group.filter = decode_filter(in, group, index);
  in.zeros(1);
  group.plain_size = in.le<std::uint32_t>();
  group.packed_size = in.le<std::uint32_t>();
  group.reference_size = in.le<std::uint32_t>();
  group.reference_offset = in.le<std::uint64_t>();
  if (group.stream >= kStreamCount) in.fail("names a stream that cannot be");
  if (group.window_log > kMaxWindowLog) in.fail("has a window that is too large");
  if (group.plain_size == 0 || group.plain_size > kMaxGroupPlain) in.fail("has a bad group size");
  if (group.packed_size == 0 || group.packed_size > kMaxGroupPacked) {
    in.fail("has a bad packed group size");
  }
  if (group.reference_size == 0 && group.reference_offset != 0) in.fail("has a bad reference");
  if (group.reference_size != 0 && !needs(index, Feature::group_reference))
    in.fail("has a reference without saying so");
  if (group.reference_size == 0 && group.filter == Filter::difference)
    in.fail("is a difference from nothing");
  if (group.reference_size != 0 && group.stream == kRecipeStream)
    in.fail("has recipes with a reference");
  if (group.reference_size > kMaxReferenceListBytes)
    in.fail("has a reference list that is too long");
  return group;
}

IndexedBlob decode_blob(ByteReader& in, const Index& index) {
  IndexedBlob blob;
  blob.digest = Digest::from_bytes(in.take(Digest::kSize));
  blob.recipe_offset = in.le<std::uint64_t>();
  blob.recipe_size = in.le<std::uint32_t>();
  in.zeros(4);
  if (blob.recipe_size == 0 || blob.recipe_size > kMaxRecipeBytes) in.fail("has a bad recipe size");
  const std::uint64_t end = index.stream_size(kRecipeStream);
  if (blob.recipe_offset > end || blob.recipe_size > end - blob.recipe_offset) {
    in.fail("has a recipe past the end of the recipe stream");
  }
  return blob;
}

void check_unique(const std::vector<IndexedBlob>& blobs, const ByteReader& in) {
  std::vector<Digest> digests;
  digests.reserve(blobs.size());
  for (const IndexedBlob& blob : blobs) digests.push_back(blob.digest);
  std::ranges::sort(digests);
  if (std::ranges::adjacent_find(digests) != digests.end()) in.fail("lists a blob twice");
}

void decode_groups(ByteReader& in, std::uint32_t count, Index& index) {
  std::uint64_t leaves = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    index.groups.push_back(decode_group(in, index));
    leaves += index.groups.back().leaf_count();
  }
  if (leaves > UINT32_MAX) in.fail("has too many leaves");
  index.derive();
  const std::uint64_t end = index.stream_size(kRecipeStream);
  for (const Group& group : index.groups) {
    if (group.reference_offset > end || group.reference_size > end - group.reference_offset) {
      in.fail("has a reference past the end of the recipe stream");
    }
  }
}

}  // namespace

std::span<const Feature> known_features() {
  return kKnown;
}

std::uint64_t Index::pack_size() const {
  return groups.empty() ? 0 : groups.back().packed_offset + groups.back().packed_size;
}

std::uint64_t Index::stream_size(std::uint8_t stream) const {
  const auto& numbers = groups_of_stream_[stream];
  if (numbers.empty()) return 0;
  const Group& last = groups[numbers.back()];
  return last.plain_offset + last.plain_size;
}

const Group* Index::find_group(std::uint8_t stream, std::uint64_t offset) const {
  if (stream >= groups_of_stream_.size() || offset >= stream_size(stream)) return nullptr;
  const auto& numbers = groups_of_stream_[stream];
  const auto starts_at = [this](std::uint32_t number) { return groups[number].plain_offset; };
  const auto after = std::ranges::upper_bound(numbers, offset, {}, starts_at);
  return &groups[*std::prev(after)];
}

const Group& Index::group_of_leaf(std::uint32_t leaf) const {
  return *std::prev(std::ranges::upper_bound(groups, leaf, {}, &Group::first_leaf));
}

LeafPlace Index::leaf_place(std::uint32_t leaf) const {
  const Group& group = group_of_leaf(leaf);
  const std::uint64_t within = std::uint64_t{leaf - group.first_leaf} * kLeafSize;
  const std::uint64_t size = std::min<std::uint64_t>(kLeafSize, group.packed_size - within);
  return {group.packed_offset + within, static_cast<std::uint32_t>(size)};
}

void Index::derive() {
  groups_of_stream_.assign(kStreamCount, {});
  std::array<std::uint64_t, kStreamCount> plain{};
  std::uint64_t packed = 0;
  std::uint32_t leaf = 0;
  for (Group& group : groups) {
    group.plain_offset = plain[group.stream];
    group.packed_offset = packed;
    group.first_leaf = leaf;
    plain[group.stream] += group.plain_size;
    packed += group.packed_size;
    leaf += group.leaf_count();
    groups_of_stream_[group.stream].push_back(group_number(group));
  }
}

Digest hash_leaf(ByteView leaf) {
  Sha256 hash;
  hash.write(ByteView(&kLeafPrefix, 1));
  hash.write(leaf);
  return hash.finish();
}

Bytes encode_index(const Index& index) {
  ByteWriter out;
  out.raw(as_bytes(kIndexMagic));
  out.le(kIndexVersion);
  out.le(kLeafSize);
  out.le(static_cast<std::uint32_t>(index.features.size()));
  out.le(static_cast<std::uint32_t>(index.groups.size()));
  out.le(static_cast<std::uint32_t>(index.leaf_hashes.size()));
  out.le(static_cast<std::uint32_t>(index.blobs.size()));
  out.le(index.pack_size());
  out.zeros(kIndexHeaderSize - out.size());
  for (const std::uint32_t feature : index.features) out.le(feature);
  for (const Group& group : index.groups) {
    out.le(group.stream);
    out.le(group.window_log);
    out.le(static_cast<std::uint8_t>(group.filter));
    out.zeros(1);
    out.le(group.plain_size);
    out.le(group.packed_size);
    out.le(group.reference_size);
    out.le(group.reference_offset);
  }
  for (const Digest& hash : index.leaf_hashes) out.raw(hash.bytes());
  for (const IndexedBlob& blob : index.blobs) {
    out.raw(blob.digest.bytes());
    out.le(blob.recipe_offset);
    out.le(blob.recipe_size);
    out.zeros(4);
  }
  return out.take();
}

Index decode_index(ByteView bytes) {
  ByteReader in(bytes, ErrorCode::index_invalid, "the bundle index");
  if (as_text(in.take(kIndexMagic.size())) != kIndexMagic) in.fail("has a wrong magic");
  if (in.le<std::uint32_t>() != kIndexVersion) {
    throw Error(ErrorCode::unsupported, "the bundle index has a later format version",
                "Use the newer bundle-import that came with the release.");
  }
  if (in.le<std::uint32_t>() != kLeafSize) in.fail("has a bad leaf size");
  const auto feature_count = in.le<std::uint32_t>();
  const auto group_count = in.le<std::uint32_t>();
  const auto leaf_count = in.le<std::uint32_t>();
  const auto blob_count = in.le<std::uint32_t>();
  const auto pack_size = in.le<std::uint64_t>();
  in.zeros(kIndexHeaderSize - in.offset());
  // The tables' sizes follow from the counts: checked before anything is allocated.
  const std::uint64_t tables =
      std::uint64_t{4} * feature_count + kGroupEntrySize * std::uint64_t{group_count} +
      Digest::kSize * std::uint64_t{leaf_count} + kBlobEntrySize * std::uint64_t{blob_count};
  if (tables != in.remaining()) in.fail("has counts that do not fit its size");

  Index index;
  for (std::uint32_t i = 0; i < feature_count; ++i) {
    const auto feature = in.le<std::uint32_t>();
    if (!index.features.empty() && index.features.back() >= feature) {
      in.fail("has features out of order");
    }
    index.features.push_back(feature);
  }
  check_features(index.features);
  index.groups.reserve(group_count);
  decode_groups(in, group_count, index);
  const Group* last = index.groups.empty() ? nullptr : &index.groups.back();
  if (leaf_count != (last == nullptr ? 0 : last->first_leaf + last->leaf_count())) {
    in.fail("has a leaf count that does not fit its groups");
  }
  if (pack_size != index.pack_size()) in.fail("has a pack size that does not fit its groups");
  index.leaf_hashes.reserve(leaf_count);
  for (std::uint32_t i = 0; i < leaf_count; ++i) {
    index.leaf_hashes.push_back(Digest::from_bytes(in.take(Digest::kSize)));
  }
  index.blobs.reserve(blob_count);
  for (std::uint32_t i = 0; i < blob_count; ++i) index.blobs.push_back(decode_blob(in, index));
  check_unique(index.blobs, in);
  return index;
}

}  // namespace bundle::format
