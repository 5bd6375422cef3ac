// docs/bundle-format.md and the code are two copies of one thing: this compares them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>

#include "codec/deflate_encoder.h"
#include "format/index.h"
#include "format/recipe.h"
#include "format/volume.h"
#include "io/file_system.h"

namespace bundle::format {
namespace {

std::string read_doc() {
  return read_text_file(posix_file_system(), Path(BUNDLE_SOURCE_DIR) / "docs" / "bundle-format.md",
                        1 << 20);
}

// The text of one section, from its heading to the next one of any depth.
std::string section(const std::string& doc, const std::string& heading) {
  const std::size_t start = doc.find(heading);
  EXPECT_NE(start, std::string::npos) << heading;
  const std::size_t end = doc.find("\n#", start + heading.size());
  return doc.substr(start, end - start);
}

// The rows of a table whose first cell matches `first`: that cell's group 1 to the second cell.
std::map<std::string, std::string> rows(const std::string& text, const std::string& first) {
  std::map<std::string, std::string> found;
  const std::regex row("\\n\\| *" + first + " *\\| *([^|]*[^| ]) *\\|");
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it)
    found[(*it)[1]] = (*it)[2];
  return found;
}

TEST(FormatDocs, LimitsAreTheCodes) {
  const std::map<std::string, std::uint64_t> code = {
      {"kMaxVolumes", kMaxVolumes},
      {"kMaxHeadBytes", kMaxHeadBytes},
      {"kMaxTailBytes", kMaxTailBytes},
      {"kMaxListFiles", kMaxListFiles},
      {"kMaxDocumentBytes", kMaxDocumentBytes},
      {"kMaxIndexBytes", kMaxIndexBytes},
      {"kMaxBlobListBytes", kMaxBlobListBytes},
      {"kMaxGroupPlain", kMaxGroupPlain},
      {"kMaxGroupPacked", kMaxGroupPacked},
      {"kMaxWindowLog", kMaxWindowLog},
      {"kMaxReferenceBytes", kMaxReferenceBytes},
      {"kMaxReferencedGroupBytes", kMaxReferencedGroupBytes},
      {"kMaxDifferenceTable", kMaxDifferenceTable},
      {"kMaxReferenceListBytes", kMaxReferenceListBytes},
      {"kMaxRecipeBytes", kMaxRecipeBytes},
      {"kMaxLiteral", kMaxLiteral},
      {"kMaxEncoderParams", kMaxEncoderParams},
      {"kMaxStreamParts", kMaxStreamParts},
      {"kMaxPartPlain", kMaxPartPlain},
      {"kMaxStreamFlushes", kMaxStreamFlushes},
      {"kMaxVerbatimBytes", kMaxVerbatimBytes},
      {"kMaxBlobBytes", kMaxBlobBytes}};
  const auto doc = rows(section(read_doc(), "## 6. Limits"), "`(kMax[A-Za-z]*)`");
  EXPECT_EQ(doc.size(), code.size());
  for (const auto& [name, value] : code) {
    ASSERT_TRUE(doc.contains(name)) << name;
    EXPECT_EQ(doc.at(name), std::to_string(value)) << name;
  }
}

TEST(FormatDocs, MagicsAndSizesAreTheCodes) {
  const std::string doc = read_doc();
  for (const std::string_view magic : {kVolumeMagic, kTailMagic, kIndexMagic}) {
    EXPECT_NE(doc.find(fmt::format("`{}`", magic)), std::string::npos) << magic;
  }
  EXPECT_NE(doc.find(fmt::format("### 3.1 Volume header ({} bytes)", kVolumeHeaderSize)),
            std::string::npos);
  EXPECT_NE(doc.find(fmt::format("### 4.1 Index header ({} bytes)", kIndexHeaderSize)),
            std::string::npos);
  EXPECT_NE(doc.find(fmt::format("### 4.2 Group table entry ({} bytes)", kGroupEntrySize)),
            std::string::npos);
  EXPECT_NE(doc.find(fmt::format("### 4.3 Blob table entry ({} bytes)", kBlobEntrySize)),
            std::string::npos);
  EXPECT_NE(doc.find(fmt::format("leaf size = {}", kLeafSize)), std::string::npos);
  EXPECT_NE(doc.find(fmt::format("next multiple of {}", kDataAlignment)), std::string::npos);
  EXPECT_NE(doc.find(fmt::format("ends in `{}`", kVolumeSuffix)), std::string::npos);
}

TEST(FormatDocs, FeaturesAndFamiliesAreTheCodes) {
  const std::string doc = read_doc();
  const auto features = rows(section(doc, "### 4.4 Features"), "([0-9]+)");
  EXPECT_EQ(features.size(), 11U);
  for (const Feature feature : known_features()) {
    EXPECT_TRUE(features.contains(std::to_string(static_cast<std::uint32_t>(feature))));
  }
  const auto families = rows(section(doc, "### 5.1 Deflate encoders"), "([0-9]+)");
  ASSERT_EQ(families.size(), 6U);
  EXPECT_NE(families.at(std::to_string(codec::kZlibFamily)).find("zlib"), std::string::npos);
  EXPECT_NE(families.at(std::to_string(codec::kGoFamily)).find("Go"), std::string::npos);
  EXPECT_NE(families.at(std::to_string(codec::kKlauspostFamily)).find("klauspost"),
            std::string::npos);
  EXPECT_NE(families.at(std::to_string(codec::kPgzipFamily)).find("pgzip"), std::string::npos);
  EXPECT_NE(families.at(std::to_string(codec::kPigzFamily)).find("pigz"), std::string::npos);
  EXPECT_NE(families.at(std::to_string(codec::kTokenFamily)).find("tokens"), std::string::npos);
  const auto segments = rows(section(doc, "## 5. Recipes"), "([0-9]) `[a-z]+`");
  EXPECT_EQ(segments.size(), 3U);
}

// Offsets in the header table against what the encoder writes.
TEST(FormatDocs, HeaderOffsetsAreTheEncoders) {
  VolumeHeader header;
  header.number = 0x11111111;
  header.count = 0x22222222;
  header.head_size = 0x3333333333333333;
  header.data_offset = 0x4444444444444444;
  header.data_size = 0x5555555555555555;
  header.ranges = {{0x66666666, 0x77777777}};
  const Bytes bytes = encode_volume_header(header);
  const auto table = rows(section(read_doc(), "### 3.1 Volume header"), "([0-9]+)");
  const auto byte_at = [&](std::size_t offset) {
    EXPECT_TRUE(table.contains(std::to_string(offset))) << offset;
    return bytes[offset];
  };
  EXPECT_EQ(byte_at(32), 0x11);
  EXPECT_EQ(byte_at(36), 0x22);
  EXPECT_EQ(byte_at(40), 0x33);
  EXPECT_EQ(byte_at(80), 0x44);
  EXPECT_EQ(byte_at(88), 0x55);
  EXPECT_EQ(byte_at(96), 1);
  EXPECT_EQ(byte_at(104), 0x66);
}

}  // namespace
}  // namespace bundle::format
