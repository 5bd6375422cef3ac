#include "attest/package_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "attest/go_build_info.h"
#include "attest/package.h"
#include "io/file_system.h"
#include "support/child_process.h"

namespace bundle::attest {
namespace {

std::vector<std::string> urls(const PackageList& list) {
  std::vector<std::string> out;
  for (const Package& package : list.packages) out.push_back(package_url(package));
  return out;
}

using Urls = std::vector<std::string>;

TEST(PackageUrl, EncodesWhatTheSpecificationWants) {
  Package package = package_of_type("npm");
  package.space = "@scope";
  package.name = "a b";
  package.version = "1.0.0+x";
  EXPECT_EQ(package_url(package), "pkg:npm/%40scope/a%20b@1.0.0%2Bx");
  package = package_of_type("deb");
  package.space = "debian";
  package.name = "libstdc++6";
  package.version = "1:2.0~rc1-3";
  package.qualifiers = {{"arch", "amd64"}, {"distro", ""}};
  EXPECT_EQ(package_url(package), "pkg:deb/debian/libstdc%2B%2B6@1:2.0~rc1-3?arch=amd64");
}

TEST(PackageFileKind, KnowsThePlaces) {
  EXPECT_EQ(package_file_kind("./var/lib/dpkg/status"), PackageFile::dpkg);
  EXPECT_EQ(package_file_kind("var/lib/dpkg/status.d/base-files"), PackageFile::dpkg);
  EXPECT_EQ(package_file_kind("var/lib/dpkg/status.d/base-files.md5sums"), std::nullopt);
  EXPECT_EQ(package_file_kind("/lib/apk/db/installed"), PackageFile::apk);
  EXPECT_EQ(package_file_kind("var/lib/rpm/rpmdb.sqlite"), PackageFile::rpm);
  EXPECT_EQ(package_file_kind("./usr/lib/sysimage/rpm/Packages.db"), PackageFile::rpm);
  EXPECT_EQ(package_file_kind("var/lib/rpm/rpmdb.sqlite-wal"), PackageFile::rpm_journal);
  EXPECT_EQ(package_file_kind("var/lib/rpm/Name"), std::nullopt);
  EXPECT_EQ(package_file_kind("app/node_modules/a/package.json"), PackageFile::npm_package);
  EXPECT_EQ(package_file_kind("app/node_modules/@s/a/package.json"), PackageFile::npm_package);
  EXPECT_EQ(package_file_kind("app/node_modules/a/lib/package.json"), std::nullopt);
  EXPECT_EQ(package_file_kind("app/package.json"), std::nullopt);
  EXPECT_EQ(package_file_kind("app/package-lock.json"), PackageFile::npm_lock);
  EXPECT_EQ(package_file_kind("usr/lib/python3/a-1.0.dist-info/METADATA"), PackageFile::python);
  EXPECT_EQ(package_file_kind("usr/share/METADATA"), std::nullopt);
  EXPECT_EQ(package_file_kind("Gemfile.lock"), PackageFile::gem_lock);
  EXPECT_EQ(package_file_kind("var/lib/gems/specifications/rack-3.0.8.gemspec"),
            PackageFile::gem_spec);
  EXPECT_EQ(package_file_kind("etc/os-release"), PackageFile::os_release);
  EXPECT_EQ(package_file_kind(""), std::nullopt);
}

TEST(Dpkg, ListsWhatIsInstalled) {
  const auto list = parse_package_file(PackageFile::dpkg, "var/lib/dpkg/status",
                                       "Package: libc6\nStatus: install ok installed\n"
                                       "Architecture: amd64\nVersion: 2.36-9\n"
                                       "Description: x\n Package: not-one\n\n"
                                       "Package: gone\nStatus: deinstall ok config-files\n"
                                       "Version: 1\n\nPackage: tz\nVersion: 2024a\n");
  EXPECT_EQ(urls(list), (Urls{"pkg:deb/libc6@2.36-9?arch=amd64", "pkg:deb/tz@2024a"}));
  EXPECT_EQ(list.problem, "");
}

// The database of this machine, against dpkg's own reading of it.
TEST(Dpkg, AgreesWithDpkgQuery) {
  const Path status = "/var/lib/dpkg/status";
  if (!std::filesystem::exists(status) || !testing::have_program("dpkg-query")) {
    GTEST_SKIP() << "this machine has no dpkg";
  }
  const std::string text = read_text_file(posix_file_system(), status, kMaxPackageFileBytes);
  std::set<std::string> ours;
  for (const Package& package : parse_package_file(PackageFile::dpkg, "", text).packages) {
    ours.insert(package.name + " " + package.version);
  }
  const auto theirs_result = testing::run_program(
      {"dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\\n"});
  ASSERT_EQ(theirs_result.status, 0);
  std::set<std::string> theirs;
  std::istringstream lines(theirs_result.output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("installed ")) theirs.insert(line.substr(10));
  }
  EXPECT_GT(theirs.size(), 10U);
  EXPECT_EQ(ours, theirs);
}

TEST(Apk, ListsWhatIsInstalled) {
  const auto list =
      parse_package_file(PackageFile::apk, "lib/apk/db/installed",
                         "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\nF:lib\nR:ld-musl.so\n\n"
                         "P:busybox\nV:1.36.1-r5\nA:x86_64\n\n");
  EXPECT_EQ(urls(list),
            (Urls{"pkg:apk/musl@1.2.4-r2?arch=x86_64", "pkg:apk/busybox@1.36.1-r5?arch=x86_64"}));
}

TEST(OsRelease, IsOneSystem) {
  const auto list = parse_package_file(PackageFile::os_release, "etc/os-release",
                                       "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=\"3.20.1\"\n");
  ASSERT_EQ(list.packages.size(), 1U);
  EXPECT_EQ(list.packages[0].name, "alpine");
  EXPECT_EQ(list.packages[0].version, "3.20.1");
}

TEST(Npm, ReadsPackagesAndLocks) {
  const auto parse = [](PackageFile kind, std::string_view text) {
    return parse_package_file(kind, "", std::string(text));
  };
  EXPECT_EQ(urls(parse(PackageFile::npm_package, R"({"name":"@a/b","version":"1.2.3"})")),
            Urls{"pkg:npm/%40a/b@1.2.3"});
  EXPECT_EQ(urls(parse(PackageFile::npm_package, R"({"type":"module"})")), Urls{});
  EXPECT_EQ(urls(parse(PackageFile::npm_lock,
                       R"({"lockfileVersion":3,"packages":{"":{"name":"app","version":"1.0.0"},
                       "node_modules/a":{"version":"1.0.0"},
                       "node_modules/a/node_modules/@s/b":{"version":"2.0.0"},
                       "node_modules/c":{"version":"3.0.0","dev":true},
                       "node_modules/d":{"name":"real","version":"4.0.0"}}})")),
            (Urls{"pkg:npm/a@1.0.0", "pkg:npm/%40s/b@2.0.0", "pkg:npm/real@4.0.0"}));
  EXPECT_EQ(urls(parse(PackageFile::npm_lock,
                       R"({"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0",
                       "dependencies":{"b":{"version":"2.0.0"}}},"c":{"version":"3","dev":true}}})")),
            (Urls{"pkg:npm/a@1.0.0", "pkg:npm/b@2.0.0"}));
  EXPECT_NE(parse(PackageFile::npm_lock, "{").problem, "");
  EXPECT_NE(parse(PackageFile::npm_package, R"({"name":"a","name":"b"})").problem, "");
}

TEST(Python, NormalisesNames) {
  const auto list = parse_package_file(
      PackageFile::python, "",
      "Metadata-Version: 2.1\nName: Zope.Interface_x\nVersion: 6.0\n\nName: no\n");
  EXPECT_EQ(urls(list), Urls{"pkg:pypi/zope-interface-x@6.0"});
}

TEST(Ruby, ReadsLocksAndSpecificationNames) {
  const auto list = parse_package_file(PackageFile::gem_lock, "Gemfile.lock",
                                       "PATH\n  remote: .\n  specs:\n    own (0.1)\n\nGEM\n"
                                       "  remote: https://rubygems.org/\n  specs:\n"
                                       "    rack (3.0.8)\n      dep (>= 1)\n\nPLATFORMS\n  ruby\n");
  EXPECT_EQ(urls(list), Urls{"pkg:gem/rack@3.0.8"});
  const auto named = [](std::string_view path) {
    return urls(parse_package_file(PackageFile::gem_spec, path, ""));
  };
  EXPECT_EQ(named("specifications/net-http2-0.18.4.gemspec"), Urls{"pkg:gem/net-http2@0.18.4"});
  EXPECT_EQ(named("specifications/nokogiri-1.16.0-x86_64-linux.gemspec"),
            Urls{"pkg:gem/nokogiri@1.16.0"});
}

TEST(Manifest, TakesListsAndStatusFiles) {
  EXPECT_EQ(urls(parse_package_manifest("adduser\t3.137ubuntu1\nlibc6:amd64\t2.39-0ubuntu8\n")),
            (Urls{"pkg:deb/adduser@3.137ubuntu1", "pkg:deb/libc6@2.39-0ubuntu8?arch=amd64"}));
  EXPECT_EQ(urls(parse_package_manifest("Package: a\nVersion: 1\n")), Urls{"pkg:deb/a@1"});
  EXPECT_NE(parse_package_manifest("no tabs here\n").problem, "");
}

TEST(PackageFiles, RefuseWhatIsNoText) {
  const std::string long_name(kMaxPackageField + 1, 'x');
  for (const std::string& name : {long_name, std::string("\xFF"), std::string("a\x01")}) {
    const auto list =
        parse_package_file(PackageFile::apk, "", "P:" + name + "\nV:1\n\nP:good\nV:1\n");
    EXPECT_EQ(urls(list), Urls{"pkg:apk/good@1"});
    EXPECT_NE(list.problem, "");
  }
}

// --- Go ---

std::string with_length(std::string_view text) {
  std::string out;
  for (std::size_t size = text.size();; size >>= 7) {
    const auto low = static_cast<char>(size & 0x7F);
    if (size < 0x80) return out + low + std::string(text);
    out += static_cast<char>(low | '\x80');
  }
}

// What Go's linker writes, at a multiple of 16.
std::string build_info(std::string_view modules) {
  const std::string mark(16, '#');
  return std::string("\xFF Go buildinf:") + '\x08' + '\x02' + std::string(16, '\0') +
         with_length("go1.22.3") + with_length(mark + std::string(modules) + mark);
}

constexpr std::string_view kModules =
    "path\tgithub.com/example/app\nmod\tgithub.com/example/app\t(devel)\t\n"
    "dep\tgolang.org/x/net\tv0.24.0\th1:abc=\ndep\tgithub.com/old/one\tv1.0.0\n"
    "=>\tgithub.com/new/one\tv1.1.0\th1:def=\nbuild\t-compiler=gc\n";

std::optional<PackageList> find_in(std::string_view program, std::size_t piece) {
  GoBuildInfoFinder finder;
  for (std::size_t at = 0; at < program.size(); at += piece) {
    finder.write(as_bytes(program.substr(at, piece)));
  }
  return finder.finish();
}

TEST(GoBuildInfo, IsFoundInPiecesOfAnySize) {
  // A constant that only looks like the mark comes first, then the mark at a wrong place.
  const std::string program = std::string(4096, 'x') + "\xFF Go buildinf:" + std::string(50, '\0') +
                              "\x7F" + build_info(kModules).substr(0, 14) + std::string(16, 'y');
  const std::string whole =
      program + std::string((16 - program.size() % 16) % 16, 'z') + build_info(kModules) + "rest";
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{4096}, whole.size()}) {
    const auto list = find_in(whole, piece);
    ASSERT_TRUE(list) << piece;
    EXPECT_EQ(urls(*list), (Urls{"pkg:golang/stdlib@1.22.3", "pkg:golang/github.com/example/app",
                                 "pkg:golang/golang.org/x/net@v0.24.0",
                                 "pkg:golang/github.com/new/one@v1.1.0"}));
  }
}

// Neither the stack nor the time grows with what a stranger repeats.
TEST(GoBuildInfo, PassesOverManyFalseMarks) {
  std::string program;
  while (program.size() < (4u << 20)) program += "\xFF Go buildinf:xz";
  EXPECT_FALSE(find_in(program, program.size()));
  EXPECT_TRUE(find_in(program + build_info(kModules), 100'000));
}

TEST(GoBuildInfo, NothingInOtherProgramsAndInCutOnes) {
  EXPECT_FALSE(find_in(std::string(100'000, 'x'), 4096));
  const std::string whole = build_info(kModules);
  EXPECT_TRUE(find_in(whole, 4096));
  for (std::size_t size = 0; size < whole.size(); size += 5) {
    EXPECT_FALSE(find_in(std::string_view(whole).substr(0, size), 4096)) << size;
  }
}

}  // namespace
}  // namespace bundle::attest
