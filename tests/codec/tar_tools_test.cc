// Our tar and gzip code against the tools of the machine: GNU tar and gzip.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "codec/gzip_reader.h"
#include "codec/gzip_writer.h"
#include "codec/tar.h"
#include "support/expect_error.h"
#include "support/temp_directory.h"

namespace bundle::codec {
namespace {

using namespace bundle::testing;

int run(const std::string& command) {
  return std::system(command.c_str());
}

std::string slurp(const Path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Many paths and sizes: short, at the ustar limits, past them, not ASCII.
std::vector<std::pair<std::string, std::string>> sample_files() {
  std::vector<std::pair<std::string, std::string>> files;
  for (const std::size_t length : {1U, 99U, 100U, 101U, 154U, 200U}) {
    files.emplace_back("d/" + std::string(length, 'n'), std::string(length * 7, 'c'));
  }
  files.emplace_back(std::string(150, 'p') + "/" + std::string(95, 'q'), "split");
  files.emplace_back(std::string(200, 'p') + "/" + std::string(200, 'q'), "pax");
  files.emplace_back("\xC3\xA4/\xE2\x82\xAC.txt", "not ASCII");
  files.emplace_back("empty", "");
  return files;
}

TEST(TarTools, IndexFindsWhatGnuTarWrote) {
  for (const char* format : {"gnu", "pax", "ustar", "posix", "oldgnu"}) {
    SCOPED_TRACE(format);
    TempDirectory directory;
    std::size_t written = 0;
    for (const auto& [name, content] : sample_files()) {
      if (std::string_view(format) == "ustar" && name.size() > 99) continue;  // it cannot
      ++written;
      directory.write("in/" + name, content);
    }
    const Path archive = directory / "a.tar";
    ASSERT_EQ(run("tar --format=" + std::string(format) + " -C " + (directory / "in").string() +
                  " -cf " + archive.string() + " ."),
              0);
    const auto file = posix_file_system().open(archive);
    std::size_t files = 0;
    for (const TarMember& member : index_tar(*file)) {
      if (!member.is_file()) continue;
      ++files;
      Bytes body(member.body_size);
      ASSERT_EQ(file->read_at(member.body_offset, body), body.size());
      EXPECT_EQ(as_text(body), slurp(directory / "in" / member.path)) << member.path;
    }
    EXPECT_EQ(files, written);
  }
}

Bytes write_sample() {
  MemorySink sink(1 << 20);
  TarWriter writer(sink);
  writer.add_directory("d", 0755, 1'700'000'000);
  for (const auto& [name, content] : sample_files()) {
    MemorySource source(as_bytes(content));
    writer.add_file(name, 0640, 1'700'000'000, content.size(), source);
  }
  writer.finish();
  return sink.take();
}

TEST(TarTools, GnuTarUnpacksWhatWeWrite) {
  TempDirectory directory;
  const Bytes archive = write_sample();
  EXPECT_EQ(archive, write_sample());
  const Path path = directory.write("a.tar", std::string(as_text(archive)));
  std::filesystem::create_directory(directory / "out");
  ASSERT_EQ(run("tar -C " + (directory / "out").string() + " -xpf " + path.string()), 0);
  for (const auto& [name, content] : sample_files()) {
    EXPECT_EQ(slurp(directory / "out" / name), content) << name;
    const auto status = posix_file_system().status(directory / "out" / name);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->mode, 0640U);
    EXPECT_EQ(status->mtime_ns, 1'700'000'000LL * 1'000'000'000LL);
  }
}

TEST(TarTools, WriterRefusesWhatDoesNotFit) {
  MemorySink sink(1 << 20);
  TarWriter writer(sink);
  MemorySource two(as_bytes("12"));
  expect_error(ErrorCode::io_error, [&] { writer.add_file("a", 0644, 0, 3, two); });
  MemorySource more(as_bytes("12345"));
  expect_error(ErrorCode::io_error, [&] { writer.add_file("a", 0644, 0, 3, more); });
  MemorySource empty(ByteView{});
  expect_error(ErrorCode::limit, [&] { writer.add_file("a", 0644, -1, 0, empty); });
  expect_error(ErrorCode::unsafe_path,
               [&] { writer.add_file(std::string("a\0b", 3), 0644, 0, 0, empty); });
}

std::string noise(std::size_t size) {
  std::string text;
  unsigned state = 1;
  for (std::size_t i = 0; i < size; ++i) {
    state = state * 1664525U + 1013904223U;
    text.push_back(static_cast<char>('a' + (state >> 24) % 16));
  }
  return text;
}

Bytes gzip(const std::string& text, std::size_t step) {
  MemorySink sink(1 << 24);
  GzipWriter writer(sink);
  for (std::size_t at = 0; at < text.size(); at += step) {
    writer.write(as_bytes(std::string_view(text).substr(at, step)));
  }
  writer.finish();
  return sink.take();
}

std::string gunzip(ByteView packed, std::uint64_t limit) {
  MemorySource source(packed);
  GzipReader reader(source, limit, "test.gz");
  const Bytes plain = read_all(reader, 1 << 24, "test");
  return std::string(as_text(plain));
}

TEST(Gzip, ToolsReadWhatWeWriteAndWeReadWhatTheyWrite) {
  TempDirectory directory;
  for (const std::size_t size : {0U, 1U, 1000U, 1'000'000U}) {
    const std::string text = noise(size);
    const Bytes packed = gzip(text, 4096);
    EXPECT_EQ(packed, gzip(text, 100'000));
    EXPECT_TRUE(is_gzip(packed));
    EXPECT_EQ(gunzip(packed, size), text);
    const Path path = directory.write("a.gz", std::string(as_text(packed)));
    ASSERT_EQ(run("gzip -dc " + path.string() + " > " + (directory / "a").string()), 0);
    EXPECT_EQ(slurp(directory / "a"), text);
    ASSERT_EQ(run("gzip -c " + (directory / "a").string() + " > " + (directory / "b.gz").string() +
                  " && cat " + path.string() + " >> " + (directory / "b.gz").string()),
              0);
    const std::string two_members = slurp(directory / "b.gz");
    EXPECT_EQ(gunzip(as_bytes(two_members), 2 * size), text + text);
  }
}

TEST(Gzip, RefusesDamage) {
  const Bytes packed = gzip(noise(5000), 5000);
  for (std::size_t cut = 1; cut < packed.size(); cut += 97) {
    expect_error(ErrorCode::archive_invalid, [&] { gunzip(ByteView(packed).first(cut), 5000); });
  }
  for (std::size_t at = 12; at < packed.size(); at += 101) {
    Bytes changed = packed;
    changed[at] ^= 0x10;
    EXPECT_TRUE(error_of([&] { gunzip(changed, 5000); })) << at;
  }
  Bytes trailing = packed;
  trailing.push_back('x');
  expect_error(ErrorCode::archive_invalid, [&] { gunzip(trailing, 5000); });
  expect_error(ErrorCode::bomb, [&] { gunzip(packed, 4999); });
}

}  // namespace
}  // namespace bundle::codec
