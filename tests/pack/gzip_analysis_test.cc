#include "pack/gzip_analysis.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>

namespace bundle::pack {
namespace {

// One member; flushed in the middle when no replayed encoder shall give it back.
Bytes member(bool flushed) {
  Bytes plain;
  for (int i = 0; i < 20000; ++i) plain.push_back(static_cast<std::uint8_t>('a' + i * i / 7 % 23));
  Bytes out(plain.size() + 1000);
  z_stream zlib{};
  EXPECT_EQ(deflateInit2(&zlib, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  zlib.next_out = out.data();
  zlib.avail_out = static_cast<uInt>(out.size());
  zlib.next_in = plain.data();
  zlib.avail_in = static_cast<uInt>(plain.size() / 2);
  EXPECT_EQ(deflate(&zlib, flushed ? Z_SYNC_FLUSH : Z_NO_FLUSH), Z_OK);
  zlib.avail_in = static_cast<uInt>(plain.size() - plain.size() / 2);
  EXPECT_EQ(deflate(&zlib, Z_FINISH), Z_STREAM_END);
  out.resize(zlib.total_out);
  deflateEnd(&zlib);
  return out;
}

class BytesSource final : public Source {
 public:
  explicit BytesSource(Bytes bytes) : bytes_(std::move(bytes)) {}
  std::size_t read(std::span<std::uint8_t> buffer) override {
    const std::size_t count = std::min(buffer.size(), bytes_.size() - at_);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), count, buffer.begin());
    at_ += count;
    return count;
  }

 private:
  Bytes bytes_;
  std::size_t at_ = 0;
};

// A blob whose readings, one after the other, give these bytes; the last one again and again.
spec::BlobInput blob_of(std::vector<Bytes> readings) {
  spec::BlobInput blob;
  blob.open = [readings, next = std::size_t{0}]() mutable -> std::unique_ptr<Source> {
    const Bytes& bytes = readings[std::min(next++, readings.size() - 1)];
    return std::make_unique<BytesSource>(bytes);
  };
  return blob;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

TEST(GzipAnalysis, EachMemberHasItsOwnEncoder) {
  const GzipAnalysis found =
      analyse_gzip(blob_of({joined({member(false), member(true)})}), Cancel());
  ASSERT_EQ(found.members.size(), 2U);
  ASSERT_TRUE(found.members[0] && found.members[1]);
  EXPECT_EQ(found.members[0]->family, codec::kZlibFamily);
  EXPECT_EQ(found.members[1]->family, codec::kTokenFamily);
  EXPECT_EQ(found.corrections.count(0), 0U);
  EXPECT_EQ(found.corrections.count(1), 1U);
}

TEST(GzipAnalysis, MembersOverTheImportBudgetStayAsTheyAre) {
  const spec::BlobInput blob = blob_of({joined({member(false), member(true)})});
  const GzipAnalysis none = analyse_gzip(blob, Cancel(), nullptr, 1);
  ASSERT_EQ(none.members.size(), 2U);
  EXPECT_FALSE(none.members[0] || none.members[1]);
  EXPECT_FALSE(none.any_replayed());
  const unsigned cost = codec::replay_cost(codec::zlib_spec(9, 9, 0));
  EXPECT_TRUE(analyse_gzip(blob, Cancel(), nullptr, cost).members[0]);
}

// The packer refuses such a blob by its digest afterwards; until then nothing may go wrong.
TEST(GzipAnalysis, ASourceThatGrowsBetweenTwoReadingsIsSurvived) {
  const Bytes grown = joined({member(true), member(true), member(true), member(true)});
  const GzipAnalysis found = analyse_gzip(blob_of({member(true), grown}), Cancel());
  EXPECT_EQ(found.members.size(), 1U);
  const GzipAnalysis shrunk = analyse_gzip(blob_of({grown, member(true)}), Cancel());
  EXPECT_EQ(shrunk.members.size(), 4U);
}

}  // namespace
}  // namespace bundle::pack
