#include <gtest/gtest.h>

#include <functional>

#include "bundle/error.h"
#include "format/blob_list.h"
#include "format/document_pack.h"
#include "format/index.h"
#include "format/recipe.h"
#include "format/volume.h"

namespace bundle::format {
namespace {

// The code of the Error that `action` ends with, or nothing.
std::optional<ErrorCode> error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_FALSE(error.message().empty());
    EXPECT_FALSE(error.hint().empty()) << error.message();
    return error.code();
  }
  return std::nullopt;
}

Index sample_index() {
  Index index;
  index.features = {1, 4};
  index.groups.push_back({.stream = 0, .window_log = 10, .plain_size = 500, .packed_size = 100});
  index.groups.push_back(
      {.stream = 1, .window_log = 24, .plain_size = 1 << 24, .packed_size = (3 << 20) + 5});
  index.groups.push_back(
      {.stream = 2, .window_log = 20, .plain_size = 1000, .packed_size = 1 << 20});
  index.groups.push_back({.stream = 1, .window_log = 20, .plain_size = 70'000, .packed_size = 20});
  index.derive();
  for (std::uint8_t i = 0; i < 7; ++i) index.leaf_hashes.push_back(sha256(ByteView(&i, 1)));
  for (std::uint8_t i = 0; i < 3; ++i)
    index.blobs.push_back({sha256(ByteView(&i, 1)), i * 100U, 50});
  return index;
}

TEST(Index, RoundTripAndPlaces) {
  const Index index = sample_index();
  const Bytes encoded = encode_index(index);
  const Index decoded = decode_index(encoded);
  EXPECT_EQ(encode_index(decoded), encoded);
  EXPECT_EQ(decoded.stream_size(1), (1U << 24) + 70'000U);
  EXPECT_EQ(decoded.pack_size(), 100U + (3U << 20) + 5U + (1U << 20) + 20U);
  EXPECT_EQ(decoded.group_number(*decoded.find_group(1, 1 << 24)), 3U);
  EXPECT_EQ(decoded.group_number(*decoded.find_group(1, (1 << 24) - 1)), 1U);
  EXPECT_EQ(decoded.find_group(1, decoded.stream_size(1)), nullptr);
  EXPECT_EQ(decoded.find_group(5, 0), nullptr);
  // Group 1 has leaves 1 to 4, the last of 5 bytes.
  EXPECT_EQ(decoded.leaf_place(4).size, 5U);
  EXPECT_EQ(decoded.leaf_place(4).packed_offset, 100U + (3U << 20));
  EXPECT_EQ(decoded.leaf_place(5).packed_offset, 105U + (3U << 20));
  EXPECT_EQ(decoded.group_number(decoded.group_of_leaf(4)), 1U);
}

TEST(Index, RefusesWhatDoesNotFit) {
  const Bytes good = encode_index(sample_index());
  const auto with = [&](std::size_t offset, std::uint8_t value) {
    Bytes bad = good;
    bad[offset] = value;
    return error_of([&] { decode_index(bad); });
  };
  const std::size_t groups = kIndexHeaderSize + 8;
  const std::size_t blobs = groups + 4 * kGroupEntrySize + 7 * Digest::kSize;
  EXPECT_EQ(with(0, 'X'), ErrorCode::index_invalid);            // magic
  EXPECT_EQ(with(8, 9), ErrorCode::unsupported);                // version
  EXPECT_EQ(with(12, 1), ErrorCode::index_invalid);             // leaf size
  EXPECT_EQ(with(20, 5), ErrorCode::index_invalid);             // group count
  EXPECT_EQ(with(24, 8), ErrorCode::index_invalid);             // leaf count
  EXPECT_EQ(with(32, 0), ErrorCode::index_invalid);             // pack size
  EXPECT_EQ(with(40, 1), ErrorCode::index_invalid);             // reserved
  EXPECT_EQ(with(64, 200), ErrorCode::index_invalid);           // features out of order
  EXPECT_EQ(with(68, 200), ErrorCode::unsupported);             // unknown feature
  EXPECT_EQ(with(groups, 12), ErrorCode::index_invalid);        // stream
  EXPECT_EQ(with(groups + 1, 28), ErrorCode::index_invalid);    // window
  EXPECT_EQ(with(groups + 2, 1), ErrorCode::index_invalid);     // reserved
  EXPECT_EQ(with(groups + 7, 0xFF), ErrorCode::index_invalid);  // plain size
  EXPECT_EQ(with(groups + 12, 1), ErrorCode::index_invalid);    // prefix without its feature
  EXPECT_EQ(with(blobs + 38, 1), ErrorCode::index_invalid);     // recipe offset
  EXPECT_EQ(with(blobs + 44, 1), ErrorCode::index_invalid);     // reserved
  Bytes twice = good;
  std::copy_n(good.begin() + static_cast<std::ptrdiff_t>(blobs), 32,
              twice.begin() + static_cast<std::ptrdiff_t>(blobs + kBlobEntrySize));
  EXPECT_EQ(error_of([&] { decode_index(twice); }), ErrorCode::index_invalid);
  for (std::size_t size = 0; size < good.size(); size += 7) {
    EXPECT_TRUE(error_of([&] { decode_index(ByteView(good).first(size)); }).has_value()) << size;
  }
}

struct Played {
  std::vector<Segment> segments;
  std::vector<Run> runs;
};

Played play(ByteView recipe, const Index& index) {
  Played played;
  RecipeReader reader(recipe, index, Digest());
  Segment segment;
  while (reader.next_segment(segment)) {
    played.segments.push_back(segment);
    for (std::uint64_t i = 0; i < segment.runs; ++i) played.runs.push_back(reader.next_run());
  }
  return played;
}

TEST(Recipe, RoundTripJoinsNeighbours) {
  const Index index = sample_index();
  RecipeWriter writer;
  writer.literal(Bytes(kMaxLiteral + 3, 7));
  writer.begin_plain();
  writer.add_run({1, 0, 100, 50});
  writer.add_run({1, 0, 150, 50});  // goes on: joined
  writer.add_run({2, 0, 10, 5});
  writer.add_run({1, 0, 0, 30});  // backwards
  writer.add_run({kZeroSource, 0, 0, 4096});
  writer.add_run({kZeroSource, 0, 0, 4096});
  writer.end_segment();
  writer.begin_deflate({2, Bytes{6}});
  writer.add_run({1, 0, 30, 1});
  writer.end_segment();
  const Played played = play(writer.take(), index);
  ASSERT_EQ(played.segments.size(), 4U);
  EXPECT_EQ(played.segments[0].literal.size() + played.segments[1].literal.size(), kMaxLiteral + 3);
  EXPECT_EQ(played.segments[2].runs, 4U);
  EXPECT_EQ(played.segments[3].family, 2U);
  EXPECT_EQ(played.segments[3].params, Bytes{6});
  ASSERT_EQ(played.runs.size(), 5U);
  EXPECT_EQ(played.runs[0].offset, 100U);
  EXPECT_EQ(played.runs[0].length, 100U);
  EXPECT_EQ(played.runs[2].offset, 0U);
  EXPECT_EQ(played.runs[3].length, 8192U);
  EXPECT_EQ(played.runs[4].offset, 30U);
}

TEST(Recipe, PartsOfStreamsRoundTrip) {
  using codec::DeflateEncoder;
  const Index index = sample_index();
  const std::vector<codec::StreamPart> parts = {
      {5000,
       16'003,
       false,
       {{100, DeflateEncoder::Flush::sync}, {5000, DeflateEncoder::Flush::full}}},
      {40, 13, true, {}},
      {7, 8, false, {}}};
  RecipeWriter writer;
  writer.begin_deflate({2, Bytes{6}}, parts);
  writer.add_run({1, 0, 30, 1});
  writer.end_segment();
  const Bytes recipe = writer.take();
  const Played played = play(recipe, index);
  ASSERT_EQ(played.segments.size(), 1U);
  EXPECT_EQ(played.segments[0].kind, SegmentKind::deflate_parts);
  ASSERT_EQ(played.segments[0].parts.size(), parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    EXPECT_EQ(played.segments[0].parts[i].plain, parts[i].plain);
    EXPECT_EQ(played.segments[0].parts[i].bits, parts[i].bits);
    EXPECT_EQ(played.segments[0].parts[i].verbatim, parts[i].verbatim);
    EXPECT_EQ(played.segments[0].parts[i].flushes, parts[i].flushes);
  }
  EXPECT_EQ(verbatim_bytes(played.segments[0].parts), 2U);
}

TEST(Recipe, BadPartsAreRefused) {
  const Index index = sample_index();
  const auto refused = [&](const std::vector<codec::StreamPart>& parts) {
    RecipeWriter writer;
    writer.begin_deflate({2, Bytes{6}}, parts);
    writer.add_run({1, 0, 30, 1});
    writer.end_segment();
    const Bytes recipe = writer.take();
    EXPECT_THROW(play(recipe, index), Error);
  };
  refused({{10, 15, false, {}}});                                         // no byte boundary
  refused({{10, 0, false, {}}});                                          // no bits
  refused({{kMaxPartPlain + 1, 8, false, {}}});                           // too long
  refused({{10, 1'000'000, false, {}}});                                  // more bits than can be
  refused({{10, 8, false, {{11, codec::DeflateEncoder::Flush::sync}}}});  // behind its end
  refused(
      std::vector<codec::StreamPart>(2, {kMaxPartPlain, (kMaxVerbatimBytes + 8) * 4, true, {}}));
}

TEST(Recipe, BaseRunsRoundTrip) {
  Index index = sample_index();
  index.base_blobs = {{sha256({}), 1000}, {sha256(as_bytes("x")), 500}};
  RecipeWriter writer;
  writer.begin_plain();
  const std::vector<format::Run> runs = {{kBasePlainSource, 0, 5000, 100},
                                         {kBasePlainSource, 0, 5612, 10},
                                         {kBaseSource, 1, 20, 30},
                                         {kBasePlainSource, 1, 7, 8},
                                         {kBasePlainSource, 0, 2, 3}};
  for (const format::Run& run : runs) writer.add_run(run);
  writer.add_run({kBasePlainSource, 0, 5, 6});  // goes on: joined with the one before
  writer.end_segment();
  const Bytes recipe = writer.take();
  const Played played = play(recipe, index);
  ASSERT_EQ(played.runs.size(), runs.size());
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(played.runs[i].source, runs[i].source);
    EXPECT_EQ(played.runs[i].base_blob, runs[i].base_blob);
    EXPECT_EQ(played.runs[i].offset, runs[i].offset);
  }
  EXPECT_EQ(played.runs.back().length, 9U);
  index.base_blobs[1].size = 49;  // the third run ends at 50
  EXPECT_EQ(error_of([&] { play(recipe, index); }), ErrorCode::recipe_invalid);
  index.base_blobs.resize(1);
  EXPECT_EQ(error_of([&] { play(recipe, index); }), ErrorCode::recipe_invalid);
}

TEST(IndexFormat, ReferencesNeedTheirFeature) {
  Index index;
  index.features = {static_cast<std::uint32_t>(Feature::base),
                    static_cast<std::uint32_t>(Feature::group_reference)};
  index.groups.push_back(
      {.stream = kRecipeStream, .window_log = 10, .plain_size = 100, .packed_size = 50});
  index.groups.push_back({.stream = 1,
                          .window_log = 20,
                          .plain_size = 1000,
                          .packed_size = 50,
                          .reference_size = 10,
                          .reference_offset = 90});
  index.leaf_hashes.resize(2);
  const auto code = [](Index changed) {
    changed.derive();
    const Bytes encoded = encode_index(changed);
    return error_of([&] { EXPECT_EQ(encode_index(decode_index(encoded)), encoded); });
  };
  EXPECT_EQ(code(index), std::nullopt);
  Index bad = index;
  bad.features.pop_back();
  EXPECT_EQ(code(bad), ErrorCode::index_invalid);
  bad = index;
  bad.groups[1].reference_offset = 91;  // past the end of the recipe stream
  EXPECT_EQ(code(bad), ErrorCode::index_invalid);
  bad = index;
  bad.groups[1].reference_size = 0;
  EXPECT_EQ(code(bad), ErrorCode::index_invalid);
  bad = index;
  bad.groups[0].reference_size = 1;  // recipes must be readable by themselves
  EXPECT_EQ(code(bad), ErrorCode::index_invalid);
  bad = index;
  bad.groups[1].reference_size = kMaxReferenceListBytes + 1;
  EXPECT_EQ(code(bad), ErrorCode::index_invalid);
}

TEST(BaseList, KeepsItsOrderAndRefusesTwice) {
  const std::vector<BlobEntry> blobs = {
      {sha256(as_bytes("b")), 2}, {sha256(as_bytes("a")), 1}, {sha256({}), 0}};
  const std::string text = encode_base_list(blobs);
  EXPECT_EQ(decode_base_list(text, "l"), blobs);
  const std::string line = text.substr(0, text.find('\n') + 1);
  EXPECT_EQ(error_of([&] { decode_base_list(text + line, "l"); }), ErrorCode::index_invalid);
  EXPECT_EQ(error_of([&] { decode_base_list("x\n", "l"); }), ErrorCode::index_invalid);
}

TEST(Recipe, RefusesWhatIsMalformed) {
  const Index index = sample_index();
  const auto code = [&](const Bytes& recipe) { return error_of([&] { play(recipe, index); }); };
  const std::vector<Bytes> bad = {
      {9},                    // unknown segment
      {0, 0},                 // empty literal
      {0, 5, 1},              // literal cut short
      {0, 0x80, 0x80, 0x08},  // literal too long
      {1, 100},               // more runs than bytes
      {1, 1, 0x01},           // empty run
      {1, 1, 0x10, 0},        // from the recipe stream
      {1, 1, 0x1F, 0},        // unknown source
      {1, 1, 0x1D, 0, 0},     // base, without bases
      {1, 1, 0x1E, 0, 0},
      {1, 1, 0x15, 0},                       // stream without groups
      {1, 1, 0x11, 0xFF, 0xFF, 0xFF, 0x7F},  // past the end of the stream
      {1, 1, 0x11, 1},                       // before its start
      {1, 1, 0x91, 0x00, 0},                 // number not in its shortest form
      {1, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0},  // number too large
      {2, 1, 65},                                                             // too many parameters
      {2, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0},                             // family too large
  };
  for (std::size_t i = 0; i < bad.size(); ++i) {
    EXPECT_EQ(code(bad[i]), ErrorCode::recipe_invalid) << "case " << i;
  }
}

VolumeHeader sample_header() {
  VolumeHeader header;
  header.bundle_id = {1, 2, 3};
  header.number = 2;
  header.count = 3;
  header.head_size = 10'000;
  header.data_offset = data_offset_for(10'000);
  header.data_size = 77;
  header.ranges = {{0, 2}, {7, 4}};
  return header;
}

TEST(Volume, HeaderRoundTrip) {
  const Bytes encoded = encode_volume_header(sample_header());
  ASSERT_EQ(encoded.size(), kVolumeHeaderSize);
  const VolumeHeader decoded = decode_volume_header(encoded, "v");
  EXPECT_EQ(encode_volume_header(decoded), encoded);
  EXPECT_EQ(decoded.ranges, sample_header().ranges);
  EXPECT_EQ(decoded.data_offset % kDataAlignment, 0U);
}

TEST(Volume, HeaderRefusesWhatCannotBe) {
  const auto code = [](const std::function<void(VolumeHeader&)>& change) {
    VolumeHeader header = sample_header();
    change(header);
    const Bytes encoded = encode_volume_header(header);
    return error_of([&] { decode_volume_header(encoded, "v"); });
  };
  EXPECT_EQ(code([](VolumeHeader&) {}), std::nullopt);
  EXPECT_EQ(code([](VolumeHeader& h) { h.number = 0; }), ErrorCode::volume_corrupt);
  EXPECT_EQ(code([](VolumeHeader& h) { h.number = 4; }), ErrorCode::volume_corrupt);
  EXPECT_EQ(code([](VolumeHeader& h) { h.count = kMaxVolumes + 1; }), ErrorCode::volume_corrupt);
  EXPECT_EQ(code([](VolumeHeader& h) { h.head_size = kMaxHeadBytes + 1; }),
            ErrorCode::volume_corrupt);
  EXPECT_EQ(code([](VolumeHeader& h) { h.data_offset += 4096; }), ErrorCode::volume_corrupt);
  EXPECT_EQ(code([](VolumeHeader& h) { h.ranges.clear(); }), ErrorCode::volume_corrupt);
  EXPECT_EQ(code([](VolumeHeader& h) { h.ranges = {{5, 3}, {7, 1}}; }), ErrorCode::volume_corrupt);
  EXPECT_EQ(code([](VolumeHeader& h) { h.ranges = {{5, 0}}; }), ErrorCode::volume_corrupt);
  EXPECT_EQ(code([](VolumeHeader& h) { h.ranges = {{5, UINT32_MAX}}; }), ErrorCode::volume_corrupt);
  const Bytes good = encode_volume_header(sample_header());
  EXPECT_EQ(error_of([&] { decode_volume_header(ByteView(good).first(4), "v"); }),
            ErrorCode::not_a_bundle);
  EXPECT_EQ(error_of([&] { decode_volume_header(ByteView(good).first(400), "v"); }),
            ErrorCode::volume_truncated);
  for (std::size_t i = 8; i < good.size(); i += 5) {
    Bytes bad = good;
    bad[i] ^= 4;
    EXPECT_EQ(error_of([&] { decode_volume_header(bad, "v"); }), ErrorCode::volume_corrupt) << i;
  }
}

TEST(FileLists, RoundTripSortsAndRefuses) {
  const FileList files = {{"b.json", "22"}, {"a.json", ""}, {"c.minisig", std::string(1000, 'x')}};
  const Bytes list = encode_file_list(files);
  const FileList decoded = decode_file_list(list, "v");
  ASSERT_EQ(decoded.size(), 3U);
  EXPECT_EQ(decoded[0].name, "a.json");
  EXPECT_EQ(find_file(decoded, "b.json")->content, "22");
  EXPECT_EQ(find_file(decoded, "d"), nullptr);
  EXPECT_EQ(decode_tail(encode_tail(files), "v"), decoded);

  const auto refused = [](const FileList& bad) {
    const Bytes encoded = encode_file_list(bad);
    return error_of([&] { decode_file_list(encoded, "v"); }) == ErrorCode::volume_corrupt;
  };
  EXPECT_TRUE(refused({{"a", ""}, {"a", ""}}));
  EXPECT_TRUE(refused({{"../a", ""}}));
  EXPECT_TRUE(refused({{"", ""}}));
  EXPECT_TRUE(refused({{".hidden", ""}}));
  EXPECT_TRUE(refused({{std::string(129, 'n'), ""}}));
  EXPECT_TRUE(refused({{"na\xC3\xAFve", ""}}));
  Bytes longer = list;
  longer.push_back(0);
  EXPECT_EQ(error_of([&] { decode_file_list(longer, "v"); }), ErrorCode::volume_corrupt);
  for (std::size_t size = 0; size < list.size(); ++size) {
    EXPECT_EQ(error_of([&] { decode_file_list(ByteView(list).first(size), "v"); }),
              ErrorCode::volume_corrupt);
  }
}

TEST(DocumentPack, RoundTripInFewBytesABlob) {
  std::vector<BlobEntry> blobs;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const auto bytes = std::array{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)};
    const Digest digest = sha256(bytes);
    blobs.push_back({digest, load_le<std::uint32_t>(digest.bytes().data()) >> i % 20});
  }
  blobs.push_back({sha256(as_bytes("large")), kMaxBlobBytes});
  const std::string list = encode_blob_list(blobs);
  const std::string manifest = "{\"a\": 1}\n";
  const auto sorted = decode_blob_list(list, "l");
  const Bytes packed = pack_documents(manifest, sorted);
  EXPECT_LT(packed.size(), 40 * blobs.size());
  const ReleaseDocuments documents = unpack_documents(packed, manifest.size(), blobs.size());
  EXPECT_EQ(documents.manifest, manifest);
  EXPECT_EQ(documents.blob_list, list);

  EXPECT_EQ(error_of([&] { unpack_documents(packed, manifest.size() + 1, blobs.size()); }),
            ErrorCode::pack_corrupt);
  EXPECT_EQ(error_of([&] { unpack_documents(packed, manifest.size(), blobs.size() - 1); }),
            ErrorCode::bomb);
  EXPECT_EQ(error_of([&] { unpack_documents(packed, kMaxDocumentBytes + 1, 0); }),
            ErrorCode::statement_invalid);
  EXPECT_EQ(error_of([&] { unpack_documents(packed, 0, UINT64_MAX); }),
            ErrorCode::statement_invalid);
  EXPECT_EQ(error_of([&] { unpack_documents({}, 0, 0); }), ErrorCode::pack_corrupt);
}

TEST(BlobList, RoundTripAndRefusals) {
  const std::uint8_t bytes[] = {1, 2, 3};
  std::vector<BlobEntry> blobs;
  for (const std::uint8_t& byte : bytes)
    blobs.push_back({sha256(ByteView(&byte, 1)), byte * 1000ULL});
  const std::string text = encode_blob_list(blobs);
  EXPECT_EQ(encode_blob_list(decode_blob_list(text, "l")), text);
  EXPECT_TRUE(decode_blob_list("", "l").empty());
  const auto refused = [](const std::string& bad) {
    return error_of([&] { decode_blob_list(bad, "l"); }) == ErrorCode::statement_invalid;
  };
  const std::string line = text.substr(0, text.find('\n'));
  EXPECT_TRUE(refused(line));                          // no line end
  EXPECT_TRUE(refused(line + "\n" + line + "\n"));     // twice
  EXPECT_TRUE(refused(line + " \n"));                  // trailing space
  EXPECT_TRUE(refused(line.substr(0, 72) + "007\n"));  // leading zeros
  EXPECT_TRUE(refused(line.substr(0, 72) + "-1\n"));
  EXPECT_TRUE(refused(line.substr(0, 72) + "99999999999999999999\n"));
  EXPECT_TRUE(refused("sha512" + line.substr(6) + "\n"));
  EXPECT_TRUE(refused("\n"));
}

}  // namespace
}  // namespace bundle::format
