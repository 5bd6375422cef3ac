// The files in which package managers write down what they installed.
//
// All of them come from image layers: bytes of strangers. The parsers take text of any content,
// never throw for it, and say what they could not read in PackageList::problem.
// Sources: deb-control(5), dpkg(1) "status"; Alpine wiki "Apk spec" (installed database);
// os-release(5); docs.npmjs.com "package.json" and "package-lock.json"; PyPA "Core metadata
// specifications" and "Recording installed projects"; bundler.io "Gemfile.lock".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attest/package.h"

namespace bundle::attest {

enum class PackageFile : std::uint8_t {
  dpkg,         // var/lib/dpkg/status, var/lib/dpkg/status.d/NAME
  apk,          // lib/apk/db/installed
  rpm,          // the database in var/lib/rpm or usr/lib/sysimage/rpm; see rpm_database.h
  os_release,   // etc/os-release: one Package of type "os": name ID, version VERSION_ID
  npm_package,  // node_modules/NAME/package.json
  npm_lock,     // package-lock.json
  python,       // NAME.dist-info/METADATA, NAME.egg-info[/PKG-INFO]
  gem_spec,     // specifications/NAME-VERSION.gemspec: by its name
  gem_lock,     // Gemfile.lock
  rpm_journal,  // what SQLite keeps beside rpmdb.sqlite; not read, but told when it is not empty
};

// Largest file that is read; the databases of the largest distributions' images have some MiB.
inline constexpr std::uint64_t kMaxPackageFileBytes = 16 * 1024 * 1024;
// JSON takes ten times its size while it is read.
inline constexpr std::uint64_t kMaxPackageJsonBytes = 4 * 1024 * 1024;
// Packages of one file; a package with a longer name or version is none.
inline constexpr std::size_t kMaxPackagesOfFile = 65'536;
inline constexpr std::size_t kMaxPackageField = 512;
// Licence, supplier and source of a package: what is longer is left out.
inline constexpr std::size_t kMaxPackageNote = 4096;

// By its path in an image ("./" or "/" in front does not matter); nothing for other files.
std::optional<PackageFile> package_file_kind(std::string_view path);
std::uint64_t package_file_limit(PackageFile kind);

struct PackageList {
  std::vector<Package> packages;  // in file order
  std::string problem;            // why some or all could not be read; empty: all is well
};

// Takes the text over: reading an rpm database changes it.
PackageList parse_package_file(PackageFile kind, std::string_view path, std::string text);

// What `dpkg-query -W` prints and what Ubuntu publishes beside its cloud images as *.manifest:
// lines "NAME[:ARCH]<tab>VERSION". Also a dpkg status file.
PackageList parse_package_manifest(std::string_view text);

// Printable UTF-8 of at most `most` bytes.
bool is_sane_text(std::string_view text, std::size_t most);
// True when `package` has a name and all its texts are short, printable UTF-8.
bool is_sane(const Package& package);

}  // namespace bundle::attest
