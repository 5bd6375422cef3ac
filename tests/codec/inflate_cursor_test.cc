#include "codec/inflate_cursor.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "bundle/error.h"
#include "support/expect_error.h"
#include "support/file_tree.h"
#include "support/temp_directory.h"

namespace bundle::codec {
namespace {

using testing::error_of;
using testing::TempDirectory;

Bytes words(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes;
  while (bytes.size() < size) {
    for (auto i = random() % 9 + 1; i > 0; --i)
      bytes.push_back(static_cast<std::uint8_t>('a' + random() % 11));
    bytes.push_back(' ');
  }
  bytes.resize(size);
  return bytes;
}

std::string gzip(ByteView plain, int level) {
  z_stream stream{};
  deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, plain.size()) + 32, '\0');
  stream.next_in = const_cast<Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

Bytes read(InflateCursor& cursor, std::uint64_t offset, std::uint64_t length) {
  MemorySink sink(1 << 26);
  cursor.copy(offset, length, sink);
  return sink.take();
}

class InflateCursorTest : public ::testing::Test {
 protected:
  std::unique_ptr<ReadableFile> file(const std::string& content) {
    testing::write_whole(folder_ / "file.gz", content);
    return posix_file_system().open(folder_ / "file.gz");
  }
  TempDirectory folder_;
};

class InflateLevelTest : public InflateCursorTest, public ::testing::WithParamInterface<int> {};

// Two members and something behind them, read at random: forward, backward, over their border.
TEST_P(InflateLevelTest, ReadsAnywhere) {
  const Bytes first = words(900'000, 1);
  const Bytes second = words(700'001, 2);
  Bytes plain = first;
  plain.insert(plain.end(), second.begin(), second.end());
  const auto source = file(gzip(first, GetParam()) + gzip(second, 9) + "behind the last member");
  InflatePoints points(100'000);
  InflateCursor cursor(*source, points);
  InflateCursor other(*source, points);
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t offset = random() % plain.size();
    const std::uint64_t length =
        std::min<std::uint64_t>(random() % 150'000 + 1, plain.size() - offset);
    InflateCursor& one = i % 3 == 0 ? other : cursor;
    ASSERT_EQ(read(one, offset, length),
              Bytes(plain.begin() + static_cast<std::ptrdiff_t>(offset),
                    plain.begin() + static_cast<std::ptrdiff_t>(offset + length)))
        << offset << " " << length;
  }
  EXPECT_TRUE(points.last_before(plain.size()));
  EXPECT_EQ(error_of([&] { read(cursor, plain.size() - 1, 2); })->code(), ErrorCode::store_corrupt);
  EXPECT_EQ(read(cursor, 0, plain.size()), plain);
}

INSTANTIATE_TEST_SUITE_P(Levels, InflateLevelTest, ::testing::Values(0, 1, 6, 9));

TEST_F(InflateCursorTest, NamesADamagedFile) {
  const Bytes plain = words(500'000, 4);
  std::string packed = gzip(plain, 6);
  const auto cut = file(packed.substr(0, packed.size() / 2));
  InflatePoints points(100'000);
  InflateCursor cursor(*cut, points);
  const auto error = error_of([&] { read(cursor, 0, plain.size()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::store_corrupt);
  EXPECT_NE(error->message().find("file.gz"), std::string::npos);
  const auto none = file("no gzip at all");
  InflateCursor wrong(*none, points);
  EXPECT_EQ(error_of([&] { read(wrong, 0, 1); })->code(), ErrorCode::store_corrupt);
}

}  // namespace
}  // namespace bundle::codec
