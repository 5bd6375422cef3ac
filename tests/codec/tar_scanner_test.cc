#include <gtest/gtest.h>

#include <random>

#include "bundle/error.h"
#include "codec/tar.h"
#include "codec/tar_bytes.h"
#include "support/expect_error.h"
#include "support/temp_directory.h"

namespace bundle::codec {
namespace {

using namespace bundle::testing;

// Keeps what it is told; `joined` must give the stream back.
struct Recorder final : TarVisitor {
  struct Member {
    TarMember member;
    std::string header;
    std::string body;
    std::string padding;
  };

  void on_member(const TarMember& member, ByteView header) override {
    members.push_back({member, std::string(as_text(header)), {}, {}});
    joined += as_text(header);
  }
  void on_body(ByteView bytes) override {
    EXPECT_FALSE(bytes.empty());
    members.back().body += as_text(bytes);
    joined += as_text(bytes);
  }
  void on_padding(ByteView bytes) override {
    members.back().padding += as_text(bytes);
    joined += as_text(bytes);
  }
  void on_tail(ByteView bytes) override {
    tail += as_text(bytes);
    joined += as_text(bytes);
  }

  std::vector<Member> members;
  std::string tail;
  std::string joined;
};

struct Scan {
  Recorder seen;
  std::optional<TarFault> fault;
};

// Feeds `stream` in pieces of `step` bytes and checks what holds for every stream.
Scan scan(const std::string& stream, std::size_t step = 4096, TarRules rules = TarRules::as_go) {
  Scan result;
  TarScanner scanner(result.seen, rules);
  for (std::size_t at = 0; at < stream.size(); at += step) {
    scanner.write(as_bytes(std::string_view(stream).substr(at, step)));
  }
  scanner.finish();
  EXPECT_EQ(result.seen.joined, stream);
  EXPECT_EQ(scanner.offset(), stream.size());
  for (const auto& part : result.seen.members) {
    const TarMember& member = part.member;
    EXPECT_EQ(member.body_offset - member.header_offset, part.header.size());
    EXPECT_EQ(stream.substr(member.header_offset, part.header.size()), part.header);
    if (!scanner.fault()) {
      EXPECT_EQ(member.body_size, part.body.size());
      EXPECT_EQ(member.end_offset(), member.body_offset + part.body.size() + part.padding.size());
    }
  }
  result.fault = scanner.fault();
  return result;
}

const std::string kLongName = std::string(120, 'd') + "/" + std::string(180, 'f');

TEST(TarScanner, SplitsMembersAtEveryStepSize) {
  const std::string stream = file("a.txt", "hello") + file("empty", "") +
                             header({.name = "dir/", .type = '5'}) +
                             header({.name = "link", .type = '2', .link_target = "a.txt"}) +
                             file("block", std::string(512, 'x')) + end_blocks();
  for (const std::size_t step : {1U, 7U, 511U, 512U, 513U, 100000U}) {
    const Scan result = scan(stream, step);
    ASSERT_EQ(result.seen.members.size(), 5U);
    EXPECT_FALSE(result.fault);
    EXPECT_EQ(result.seen.members[0].member.path, "a.txt");
    EXPECT_EQ(result.seen.members[0].body, "hello");
    EXPECT_EQ(result.seen.members[0].padding.size(), 507U);
    EXPECT_EQ(result.seen.members[2].member.type, '5');
    EXPECT_EQ(result.seen.members[3].member.link_target, "a.txt");
    EXPECT_EQ(result.seen.members[4].body, std::string(512, 'x'));
    EXPECT_EQ(result.seen.tail, end_blocks());
  }
}

TEST(TarScanner, ReadsLongNames) {
  const std::string gnu = header({.name = "././@LongLink",
                                  .size = kLongName.size() + 1,
                                  .type = 'L',
                                  .magic = std::string("ustar  \0", 8)}) +
                          padded(kLongName + '\0') + file(kLongName.substr(0, 100), "gnu");
  const std::string pax_named =
      pax(pax_record("path", kLongName) + pax_record("mtime", "1.5")) + file("short", "pax");
  const std::string prefixed = header({.name = "name", .size = 0, .prefix = "some/prefix"});
  const Scan result = scan(gnu + pax_named + prefixed + end_blocks());
  ASSERT_EQ(result.seen.members.size(), 3U);
  EXPECT_EQ(result.seen.members[0].member.path, kLongName);
  EXPECT_EQ(result.seen.members[0].header.size(), 3 * 512U);
  EXPECT_EQ(result.seen.members[1].member.path, kLongName);
  EXPECT_EQ(result.seen.members[1].member.header_offset, 4 * 512U);
  EXPECT_EQ(result.seen.members[2].member.path, "some/prefix/name");
}

TEST(TarScanner, TakesSizesFromPaxAndBase256) {
  std::string base256("\x80\0\0\0\0\0\0\0\0\0\0\x05", 12);
  const std::string stream = pax(pax_record("size", "600")) + header({.name = "pax", .size = 1}) +
                             padded(std::string(600, 'p')) +
                             header({.name = "binary", .size_field = base256}) + padded("12345") +
                             end_blocks();
  const Scan result = scan(stream);
  ASSERT_EQ(result.seen.members.size(), 2U);
  EXPECT_EQ(result.seen.members[0].body, std::string(600, 'p'));
  EXPECT_EQ(result.seen.members[1].body, "12345");
}

TEST(TarScanner, KeepsSparseMapsWithTheirHeader) {
  std::string sparse =
      header({.name = "sparse", .size = 512, .type = 'S', .magic = std::string("ustar  \0", 8)});
  sparse[482] = 1;
  seal(sparse);
  std::string map(512, '\0');
  map[504] = 1;
  const std::string stream = sparse + map + std::string(512, '\0') + std::string(512, 'D') +
                             file("next", "n") + end_blocks();
  const Scan result = scan(stream, 100);
  ASSERT_EQ(result.seen.members.size(), 2U);
  EXPECT_TRUE(result.seen.members[0].member.sparse);
  EXPECT_FALSE(result.seen.members[0].member.is_file());
  EXPECT_EQ(result.seen.members[0].header.size(), 3 * 512U);
  EXPECT_EQ(result.seen.members[0].body, std::string(512, 'D'));
  EXPECT_EQ(result.seen.members[1].body, "n");
  const Scan pax_sparse =
      scan(pax(pax_record("GNU.sparse.major", "1")) + file("s", "map") + end_blocks());
  EXPECT_TRUE(pax_sparse.seen.members.at(0).member.sparse);
}

TEST(TarScanner, ReadsOldAndOddHeadersAsGoDoes) {
  const std::string old_directory =
      header({.name = "old/", .size = 0, .type = '\0', .magic = std::string(8, '\0')});
  const std::string linked = header({.name = "hard", .size = 700, .type = '1', .link_target = "a"});
  const Scan result = scan(old_directory + linked + file("a", "x") + end_blocks());
  ASSERT_EQ(result.seen.members.size(), 3U);
  EXPECT_EQ(result.seen.members[0].member.type, '5');
  EXPECT_EQ(result.seen.members[1].member.body_size, 0U);
  EXPECT_FALSE(result.fault);
}

TEST(TarScanner, AcceptsChecksumsOfSignedBytes) {
  std::string block = header({.name = "\xC3\xA4"});
  put(block, 148, "        ");
  long sum = 0;
  for (const char c : block) sum += static_cast<signed char>(c);
  put(block, 148, octal(static_cast<std::size_t>(sum), 6) + std::string("\0 ", 2));
  EXPECT_EQ(scan(block + end_blocks()).seen.members.size(), 1U);
}

TEST(TarScanner, PassesAnythingOnWhateverItIs) {
  std::mt19937 random(7);
  for (const std::size_t size : {0U, 1U, 511U, 512U, 513U, 5000U}) {
    std::string noise(size, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    const Scan result = scan(noise, 100);
    EXPECT_TRUE(result.seen.members.empty());
    EXPECT_EQ(result.seen.tail, noise);
    EXPECT_EQ(result.fault.has_value(), size > 0);
  }
}

TEST(TarScanner, SurvivesEveryFlippedByte) {
  const std::string stream = pax(pax_record("path", "long/name") + pax_record("size", "5")) +
                             file("a", "hello") + file("b", "world") + end_blocks();
  for (std::size_t at = 0; at < stream.size(); ++at) {
    for (const int flip : {0x01, 0x80}) {
      std::string changed = stream;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      scan(changed, 700);  // checks that the joined parts are the stream
    }
  }
}

struct Fault {
  const char* what;
  std::string stream;
  std::uint64_t offset;
  TarRules rules = TarRules::as_go;
};

std::vector<Fault> faults() {
  const std::string big_special =
      header({.name = "x", .size = kMaxTarSpecial + 1, .type = 'x'}) + padded("");
  const std::string negative("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE", 12);
  const std::string huge("\x80\0\0\0\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12);
  const std::string a = file("a", "1");
  const auto special = [](const std::string& records) { return pax(records) + file("a", "1"); };
  return {
      {"checksum", a + header({.name = "b", .break_checksum = true}), 1024},
      {"octal size", header({.name = "a", .size_field = "0000000009\0\0"}), 0},
      {"negative size", header({.name = "a", .size_field = negative}), 0},
      {"huge size", header({.name = "a", .size_field = huge}), 0},
      {"huge special", a + big_special, 1024},
      {"cut header", a + "x", 1025},
      {"cut body", header({.name = "a", .size = 100}) + "abc", 515},
      {"cut padding", header({.name = "a", .size = 1}) + "abc", 515},
      {"cut special", pax("1"), 512},
      {"pax without space", special("123"), 512},
      {"pax length past the end", special("99 path=a\n"), 512},
      {"pax length too small", special("4 a=b\n"), 512},
      {"pax without newline", special("9 path=a "), 512},
      {"pax without equals", special("9 patha_\n"), 512},
      {"pax empty key", special("5 =a\n"), 512},
      {"pax negative size", special(pax_record("size", "-5")), 1024},
      {"pax huge size", special(pax_record("size", "99999999999999999999")), 1024},
      {"pax NUL in path", special(pax_record("path", std::string("a\0b", 3))), 512},
      {"strict: two pax", pax(pax_record("path", "p")) + special(pax_record("path", "q")), 1024,
       TarRules::strict},
      {"strict: two paths", special(pax_record("path", "p") + pax_record("path", "q")), 512,
       TarRules::strict},
      {"strict: two sizes", special(pax_record("size", "1") + pax_record("size", "2")), 512,
       TarRules::strict},
      {"strict: global path", pax(pax_record("path", "p"), 'g') + a, 512, TarRules::strict},
      {"strict: link with content",
       header({.name = "l", .size = 5, .type = '1'}) + std::string(512, '\0'), 0, TarRules::strict},
  };
}

TEST(TarScanner, TellsWhereAStreamStopsBeingATar) {
  for (const Fault& example : faults()) {
    SCOPED_TRACE(example.what);
    const Scan result = scan(example.stream, 64, example.rules);
    ASSERT_TRUE(result.fault);
    EXPECT_EQ(result.fault->offset, example.offset) << result.fault->reason;
    EXPECT_FALSE(result.fault->reason.empty());
    if (example.rules == TarRules::strict) {
      EXPECT_FALSE(scan(example.stream, 64).fault);
    }
  }
}

TEST(TarScanner, HoldsNoMoreThanTheHeaderLimit) {
  std::string stream;
  for (int i = 0; i < 4; ++i) stream += pax(pax_record("comment", std::string(600'000, 'c')));
  const Scan result = scan(stream + file("a", "1"), 4096);
  ASSERT_TRUE(result.fault);
  EXPECT_LT(result.fault->offset, kMaxTarHeader);
}

TEST(TarScanner, AStreamMayEndWithoutEndBlocks) {
  EXPECT_FALSE(scan(file("a", "1")).fault);
  EXPECT_FALSE(scan("").fault);
  EXPECT_FALSE(scan(file("a", "1") + end_blocks() + "garbage behind the end").fault);
}

TEST(TarScanner, SkipsContentOnRequest) {
  Recorder seen;
  TarScanner scanner(seen);
  const std::string stream = file("a", std::string(1000, 'x')) + file("b", "1") + end_blocks();
  scanner.write(as_bytes(std::string_view(stream).substr(0, 512)));
  EXPECT_EQ(scanner.skippable(), 1024U);
  scanner.skip(1010);
  EXPECT_EQ(scanner.skippable(), 14U);
  EXPECT_THROW(scanner.skip(15), Error);
  scanner.skip(14);
  scanner.write(as_bytes(std::string_view(stream).substr(1536)));
  ASSERT_EQ(seen.members.size(), 2U);
  EXPECT_EQ(seen.members[1].body, "1");
}

class TarIndex : public ::testing::Test {
 protected:
  std::vector<TarMember> index(const std::string& content) {
    const auto path = directory_.write("a.tar", content);
    return index_tar(*posix_file_system().open(path));
  }
  TempDirectory directory_;
};

TEST_F(TarIndex, ListsMembersByHeaderOnly) {
  const auto members =
      index(file("a", std::string(5000, 'x')) + pax(pax_record("path", kLongName)) +
            file("b", "hello") + end_blocks());
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(members[0].body_offset, 512U);
  EXPECT_EQ(members[0].body_size, 5000U);
  EXPECT_EQ(members[1].path, kLongName);
  EXPECT_EQ(members[1].body_size, 5U);
  EXPECT_TRUE(index(end_blocks()).empty());
}

TEST_F(TarIndex, RefusesDamagedArchives) {
  for (const Fault& example : faults()) {
    SCOPED_TRACE(example.what);
    const Error error = expect_error(ErrorCode::archive_invalid, [&] { index(example.stream); });
    EXPECT_NE(error.message().find("a.tar"), std::string::npos);
  }
  expect_error(ErrorCode::archive_invalid, [&] { index(file("a", "1")); });  // no end
  expect_error(ErrorCode::archive_invalid, [&] { index(""); });
  expect_error(ErrorCode::archive_invalid,
               [&] { index(header({.name = "a", .size = 1 << 30})); });  // body not there
}

TEST_F(TarIndex, RefusesTooManyNames) {
  std::string stream;
  const std::string long_name = pax(pax_record("path", std::string(1'000'000, 'n')));
  for (int i = 0; i < 40; ++i) stream += long_name + file("n", "");
  expect_error(ErrorCode::limit, [&] { index(stream + end_blocks()); });
}

}  // namespace
}  // namespace bundle::codec
