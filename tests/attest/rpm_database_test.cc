#include "attest/rpm_database.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <functional>

#include "attest/berkeley_hash.h"
#include "attest/package.h"
#include "attest/rpm_header.h"
#include "attest/rpm_ndb.h"
#include "codec/sqlite_column.h"
#include "io/file_system.h"

// tests/data/rpm: two packages of rpmbuild, and a signing key, by tests/interop/rpm_world.py. The
// same with rpm's own database: tests/interop/test_rpm.py.
namespace bundle::attest {
namespace {

using Urls = std::vector<std::string>;

const Urls kUrls{"pkg:rpm/harbour-tools@1.4.2-3?arch=noarch&epoch=2",
                 "pkg:rpm/libodd%2Bname@0.9~rc1-1.el9?arch=noarch"};
constexpr std::array<std::string_view, 4> kForms{"rpmdb.sqlite", "Packages.db", "Packages",
                                                 "Packages.big-endian"};

std::string sample(std::string_view name) {
  return read_text_file(posix_file_system(), Path(BUNDLE_TEST_DATA) / "rpm" / name, 1 << 20);
}

PackageList parse(std::string file) {
  return parse_rpm_database({reinterpret_cast<std::uint8_t*>(file.data()), file.size()});
}

Urls urls(const PackageList& list) {
  Urls out;
  for (const Package& package : list.packages) out.push_back(package_url(package));
  std::ranges::sort(out);
  return out;
}

std::string be32(std::uint32_t value) {
  std::string out;
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift & 0xFF);
  return out;
}

struct Tag {
  std::uint32_t tag, type;
  std::string content;
  std::uint32_t count = 1;
};

std::string header_of(const std::vector<Tag>& tags) {
  std::string index, data;
  for (const Tag& tag : tags) {
    index += be32(tag.tag) + be32(tag.type) + be32(static_cast<std::uint32_t>(data.size())) +
             be32(tag.count);
    data += tag.content;
  }
  return be32(static_cast<std::uint32_t>(tags.size())) +
         be32(static_cast<std::uint32_t>(data.size())) + index + data;
}

const std::string kEnd(1, '\0');
const std::vector<Tag> kSmall{
    {1000, 6, "bash" + kEnd}, {1001, 6, "5" + kEnd}, {1002, 6, "1" + kEnd}};

PackageList header_with(const Tag& tag) {
  std::vector<Tag> tags = kSmall;
  tags.push_back(tag);
  return parse_rpm_header(as_bytes(header_of(tags)));
}

TEST(RpmHeader, TellsWhatThePackageSays) {
  const PackageList list = parse_rpm_header(as_bytes(sample("header")));
  ASSERT_EQ(list.packages.size(), 1U) << list.problem;
  const Package& package = list.packages[0];
  EXPECT_EQ(package_url(package), kUrls[0]);
  EXPECT_EQ(package.license, "MIT and (GPLv2+ or Apache-2.0)");
  EXPECT_EQ(package.supplier, "Example Org (packaging)");
  EXPECT_EQ(package.source, "harbour-tools-1.4.2-3.src.rpm");
}

TEST(RpmHeader, MalformedOnesAreToldAndNeverThrow) {
  const std::string whole = sample("header");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const PackageList list = parse_rpm_header(as_bytes(whole).first(size));
    EXPECT_TRUE(list.packages.empty()) << size;
    EXPECT_NE(list.problem, "") << size;
  }
  EXPECT_EQ(urls(parse_rpm_header(as_bytes(header_of(kSmall)))), Urls{"pkg:rpm/bash@5-1"});
  EXPECT_NE(header_with({1022, 6, "x86_64"}).problem, "") << "a string without an end";
  EXPECT_NE(header_with({1022, 0, "x" + kEnd}).problem, "") << "no such type";
  EXPECT_NE(header_with({1022, 10, "x" + kEnd}).problem, "") << "no such type";
  EXPECT_NE(header_with({1022, 6, "x" + kEnd, 0}).problem, "") << "nothing of it";
  EXPECT_NE(header_with({1022, 6, "x" + kEnd, 2}).problem, "") << "two of one string";
  EXPECT_NE(header_with({5000, 4, "1234", 1000}).problem, "") << "more than there is";
  EXPECT_NE(header_with({5000, 4, "1234", 0x80000001U}).problem, "") << "more than there is";
  EXPECT_NE(header_with({63, 7, std::string(16, 'x'), 16}).problem, "") << "a region not in front";
  std::string many = header_of(kSmall);
  many.replace(0, 4, be32(kMaxRpmHeaderTags + 1));
  EXPECT_NE(parse_rpm_header(as_bytes(many)).problem, "");
  EXPECT_NE(parse_rpm_header(as_bytes(header_of({kSmall[0], kSmall[1]}))).problem, "");
}

TEST(RpmHeader, LaterEntriesCountAndNotesCostNothing) {
  EXPECT_EQ(urls(header_with({1001, 6, "6" + kEnd})), Urls{"pkg:rpm/bash@6-1"});
  const PackageList list = header_with({1011, 6, std::string(kMaxPackageNote + 1, 'x') + kEnd});
  EXPECT_EQ(list.problem, "");
  EXPECT_EQ(list.packages.at(0).supplier, "");
  EXPECT_EQ(header_with({1014, 6, "\xE4\xF6" + kEnd}).packages.at(0).license, "");
}

TEST(RpmDatabase, IsReadInEveryForm) {
  for (const std::string_view form : kForms) {
    const PackageList list = parse(sample(form));
    EXPECT_EQ(urls(list), kUrls) << form;
    EXPECT_EQ(list.problem, "") << form;
  }
}

// Wherever it ends, it is told, and what can be read is listed.
TEST(RpmDatabase, CutOnesAreToldAndNeverThrow) {
  for (const std::string_view form : kForms) {
    const std::string whole = sample(form);
    for (std::size_t size = 0; size < whole.size(); size += 97) {
      const PackageList list = parse(whole.substr(0, size));
      EXPECT_NE(list.problem, "") << form << " of " << size;
      EXPECT_LE(list.packages.size(), kUrls.size());
    }
  }
}

TEST(RpmDatabase, DamagedOnesNeverThrow) {
  for (const std::string_view form : kForms) {
    const std::string whole = sample(form);
    std::size_t told = 0;
    for (std::size_t at = 0; at < whole.size(); at += 31) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(~damaged[at]);
      const PackageList list = parse(damaged);
      for (const Package& package : list.packages) EXPECT_TRUE(is_sane(package));
      EXPECT_LE(list.packages.size(), kUrls.size() + 1);
      told += list.problem.empty() ? 0 : 1;
    }
    EXPECT_GT(told, 0U) << form;
  }
}

TEST(RpmDatabase, OtherFilesAreNone) {
  EXPECT_NE(parse("").problem, "");
  EXPECT_NE(parse(std::string(10'000, 'x')).problem, "");
  EXPECT_NE(parse("SQLite format 3" + kEnd).problem, "");
}

void put32(std::string& file, std::size_t at, std::uint32_t value) {
  store_le(reinterpret_cast<std::uint8_t*>(file.data()) + at, value);
}

TEST(RpmNdb, HostileSlotsAreRefused) {
  const auto problem = [](const std::function<void(std::string&)>& change) {
    std::string file = sample("Packages.db");
    change(file);
    return parse(file).problem;
  };
  EXPECT_NE(problem([](auto& file) { put32(file, 4, 1); }), "") << "version";
  EXPECT_NE(problem([](auto& file) { put32(file, 12, 0); }), "") << "no page of slots";
  EXPECT_NE(problem([](auto& file) { put32(file, 12, 0xFFFFFFFFU); }), "") << "pages without end";
  EXPECT_EQ(problem([](auto& file) { put32(file, 32 + 8, 1); }), "a slot points outside");
  EXPECT_EQ(problem([](auto& file) { put32(file, 32 + 12, 0xFFFFFFFFU); }),
            "a slot points outside");
  // The second slot on the blocks of the first: a small file must not become much work.
  EXPECT_EQ(problem([](auto& file) { file.replace(48 + 8, 8, file.substr(32 + 8, 8)); }),
            "slots overlap");
  // One entry is lost, the others are there.
  std::string file = sample("Packages.db");
  file[4096 + 16 + 20] ^= 1;
  const PackageList list = parse(file);
  EXPECT_EQ(list.packages.size(), 1U);
  EXPECT_EQ(list.problem, "the entry of package 1 is damaged");
}

TEST(BerkeleyHash, HostilePagesAreRefused) {
  const auto problem = [](std::size_t at, std::uint32_t value) {
    std::string file = sample("Packages");
    put32(file, at, value);
    return parse(file).problem;
  };
  EXPECT_NE(problem(16, 7), "") << "version";
  EXPECT_NE(problem(20, 500), "") << "page size";
  EXPECT_NE(problem(20, 1U << 31), "") << "page size";
  EXPECT_NE(problem(32, 0xFFFFFFFFU), "") << "pages without end";
  EXPECT_NE(problem(24, 0x0801), "") << "encrypted";
  EXPECT_NE(problem(24, 0x010800), "") << "with checksums";
}

// Each overflow page leads back to itself.
TEST(BerkeleyHash, ChainsOfPagesThatTurnBackEnd) {
  std::string file = sample("Packages");
  std::size_t turned = 0;
  for (std::size_t page = 512; page < file.size(); page += 512) {
    if (file[page + 25] != 7) continue;
    put32(file, page + 16, static_cast<std::uint32_t>(page / 512));
    ++turned;
  }
  ASSERT_GT(turned, 2U);
  const PackageList list = parse(file);
  EXPECT_TRUE(list.problem.ends_with("is malformed")) << list.problem;
}

// --- SQLite ---

struct Column {
  std::vector<std::string> values;
  std::string problem;
};

Column read_column(std::string file, const codec::SqliteLimits& limits) {
  Column column;
  column.problem = codec::read_sqlite_column(
      {reinterpret_cast<std::uint8_t*>(file.data()), file.size()}, {"Packages", "blob"}, limits,
      [&](ByteView value) { column.values.emplace_back(as_text(value)); });
  return column;
}

TEST(Sqlite, LimitsHold) {
  const std::string file = sample("rpmdb.sqlite");
  EXPECT_EQ(read_column(file, {1 << 20, 3}).problem, "");
  EXPECT_EQ(read_column(file, {1 << 20, 3}).values.size(), 3U);
  EXPECT_EQ(read_column(file, {1 << 20, 2}).problem, "more than 2 rows");
  EXPECT_NE(read_column(file, {200, 3}).problem, "");
}

// Runs a script on an empty database; the file that it makes.
std::string database_of(const std::string& script) {
  sqlite3* db = nullptr;
  sqlite3_open(":memory:", &db);
  const int done = sqlite3_exec(db, script.c_str(), nullptr, nullptr, nullptr);
  EXPECT_EQ(done, SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_int64 size = 0;
  unsigned char* bytes = sqlite3_serialize(db, "main", &size, 0);
  std::string file(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  sqlite3_free(bytes);
  sqlite3_close(db);
  return file;
}

// What a schema could make of the name "Packages"; each is a database that SQLite itself reads.
TEST(Sqlite, OnlyATableOfBlobsIsRead) {
  for (const std::string_view script :
       {"CREATE VIEW Packages AS SELECT x'00' AS blob",
        "CREATE TABLE Packages (a, blob AS (zeroblob(1000))); INSERT INTO Packages (a) VALUES (1)",
        "CREATE VIRTUAL TABLE Packages USING fts3(blob); INSERT INTO Packages VALUES ('a')",
        "CREATE TABLE other (blob)", "CREATE TABLE Packages (other)",
        "CREATE TABLE Packages (blob); INSERT INTO Packages VALUES ('text')"}) {
    const Column column = read_column(database_of(std::string(script)), {1 << 20, 100});
    EXPECT_TRUE(column.values.empty()) << script;
    EXPECT_NE(column.problem, "") << script;
  }
  const auto column = read_column(
      database_of("CREATE TABLE Packages (blob); INSERT INTO Packages VALUES (x'00')"), {100, 100});
  EXPECT_EQ(column.problem, "");
  EXPECT_EQ(column.values, std::vector<std::string>{kEnd});
}

TEST(Sqlite, ASchemaWithoutEndIsRefused) {
  const Column column = read_column(
      database_of("CREATE TABLE t (a); PRAGMA writable_schema = ON;"
                  "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20000)"
                  "INSERT INTO sqlite_master SELECT 'table', 't' || n, 't' || n, 2,"
                  "'CREATE TABLE t' || n || '(a)' FROM c"),
      {1 << 20, 100});
  EXPECT_TRUE(column.values.empty());
  EXPECT_EQ(column.problem, "SQLite: interrupted");
}

}  // namespace
}  // namespace bundle::attest
