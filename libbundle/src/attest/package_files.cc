#include "attest/package_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "attest/language_packages.h"
#include "attest/rpm_database.h"
#include "codec/utf8.h"

namespace bundle::attest {
namespace {

// Calls `take(line)` for each line without its end.
template <typename Take>
void for_each_line(std::string_view text, Take take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    take(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// The value of "Key: value"; nothing for another key.
std::optional<std::string_view> value_of(std::string_view line, std::string_view key) {
  if (!line.starts_with(key) || line.size() == key.size() || line[key.size()] != ':') {
    return std::nullopt;
  }
  return trimmed(line.substr(key.size() + 1));
}

// Stanzas of "Key: value" lines with an empty line between them; lines that begin with white space
// continue the one before and say nothing that is wanted here.
PackageList parse_dpkg(std::string_view text) {
  PackageList list;
  Package package;
  bool installed = true;
  const auto end_stanza = [&] {
    if (installed && !package.name.empty()) add_package(list, std::move(package));
    package = package_of_type("deb");
    installed = true;
  };
  end_stanza();
  for_each_line(text, [&](std::string_view line) {
    if (line.empty()) return end_stanza();
    if (const auto name = value_of(line, "Package")) package.name = *name;
    if (const auto version = value_of(line, "Version")) package.version = *version;
    if (const auto arch = value_of(line, "Architecture")) package.qualifiers["arch"] = *arch;
    // "install ok installed"; distroless images have no such line.
    if (const auto status = value_of(line, "Status")) installed = status->ends_with(" installed");
  });
  end_stanza();
  return list;
}

PackageList parse_apk(std::string_view text) {
  PackageList list;
  Package package;
  const auto end_stanza = [&] {
    if (!package.name.empty()) add_package(list, std::move(package));
    package = package_of_type("apk");
  };
  end_stanza();
  for_each_line(text, [&](std::string_view line) {
    if (line.empty()) return end_stanza();
    if (const auto name = value_of(line, "P")) package.name = *name;
    if (const auto version = value_of(line, "V")) package.version = *version;
    if (const auto arch = value_of(line, "A")) package.qualifiers["arch"] = *arch;
  });
  end_stanza();
  return list;
}

PackageList parse_os_release(std::string_view text) {
  Package system = package_of_type("os");
  const auto unquoted = [](std::string_view value) {
    const bool quoted =
        value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0];
    return std::string(quoted ? value.substr(1, value.size() - 2) : value);
  };
  for_each_line(text, [&](std::string_view line) {
    if (line.starts_with("ID=")) system.name = unquoted(line.substr(3));
    if (line.starts_with("VERSION_ID=")) system.version = unquoted(line.substr(11));
  });
  PackageList list;
  if (!system.name.empty()) add_package(list, std::move(system));
  return list;
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// Without the last component.
std::string_view parent(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

bool is_npm_package(std::string_view path) {
  if (base_name(path) != "package.json") return false;
  std::string_view folder = parent(parent(path));  // of the package's own folder
  if (base_name(folder).starts_with('@')) folder = parent(folder);
  return base_name(folder) == "node_modules";
}

bool is_python_metadata(std::string_view path) {
  const std::string_view folder = base_name(parent(path));
  return (base_name(path) == "METADATA" && folder.ends_with(".dist-info")) ||
         (base_name(path) == "PKG-INFO" && folder.ends_with(".egg-info")) ||
         base_name(path).ends_with(".egg-info");
}

std::optional<PackageFile> rpm_file_kind(std::string_view path) {
  constexpr std::array<std::string_view, 3> kDatabases{"rpmdb.sqlite", "Packages.db", "Packages"};
  constexpr std::array<std::string_view, 2> kJournals{"rpmdb.sqlite-wal", "rpmdb.sqlite-journal"};
  if (parent(path) != "var/lib/rpm" && parent(path) != "usr/lib/sysimage/rpm") return std::nullopt;
  if (std::ranges::find(kDatabases, base_name(path)) != kDatabases.end()) return PackageFile::rpm;
  if (std::ranges::find(kJournals, base_name(path)) != kJournals.end()) {
    return PackageFile::rpm_journal;
  }
  return std::nullopt;
}

PackageList parse_rpm(std::string text) {
  return parse_rpm_database({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
}

}  // namespace

std::optional<PackageFile> package_file_kind(std::string_view path) {
  while (path.starts_with("./") || path.starts_with('/'))
    path.remove_prefix(path[0] == '.' ? 2 : 1);
  if (path == "var/lib/dpkg/status") return PackageFile::dpkg;
  if (parent(path) == "var/lib/dpkg/status.d" && !path.ends_with(".md5sums")) {
    return PackageFile::dpkg;
  }
  if (path == "lib/apk/db/installed" || path == "usr/lib/apk/db/installed") return PackageFile::apk;
  if (path == "etc/os-release" || path == "usr/lib/os-release") return PackageFile::os_release;
  if (const auto kind = rpm_file_kind(path)) return kind;
  if (is_npm_package(path)) return PackageFile::npm_package;
  if (base_name(path) == "package-lock.json") return PackageFile::npm_lock;
  if (is_python_metadata(path)) return PackageFile::python;
  if (base_name(path) == "Gemfile.lock") return PackageFile::gem_lock;
  if (path.ends_with(".gemspec") && base_name(parent(path)) == "specifications") {
    return PackageFile::gem_spec;
  }
  return std::nullopt;
}

std::uint64_t package_file_limit(PackageFile kind) {
  if (kind == PackageFile::rpm || kind == PackageFile::rpm_journal) return kMaxRpmDatabaseBytes;
  const bool is_json = kind == PackageFile::npm_package || kind == PackageFile::npm_lock;
  return is_json ? kMaxPackageJsonBytes : kMaxPackageFileBytes;
}

bool is_sane_text(std::string_view text, std::size_t most) {
  return text.size() <= most && !codec::find_invalid_utf8(text) &&
         std::ranges::none_of(
             text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

bool is_sane(const Package& package) {
  const auto sane = [](std::string_view text) { return is_sane_text(text, kMaxPackageField); };
  const auto sane_note = [](std::string_view text) { return is_sane_text(text, kMaxPackageNote); };
  return !package.name.empty() && sane(package.name) && sane(package.space) &&
         sane(package.version) && sane_note(package.license) && sane_note(package.supplier) &&
         sane_note(package.source) &&
         std::ranges::all_of(package.qualifiers,
                             [&](const auto& entry) { return sane(entry.second); });
}

void add_package(PackageList& list, Package package) {
  if (list.packages.size() >= kMaxPackagesOfFile) {
    list.problem = fmt::format("it lists more than {} packages", kMaxPackagesOfFile);
  } else if (is_sane(package)) {
    list.packages.push_back(std::move(package));
  } else {
    list.problem = "an entry has no name, or a text that is too long or not printable";
  }
}

PackageList parse_package_file(PackageFile kind, std::string_view path, std::string text) {
  switch (kind) {
    case PackageFile::dpkg:
      return parse_dpkg(text);
    case PackageFile::apk:
      return parse_apk(text);
    case PackageFile::rpm:
      return parse_rpm(std::move(text));
    case PackageFile::os_release:
      return parse_os_release(text);
    case PackageFile::npm_package:
      return parse_npm_package(text);
    case PackageFile::npm_lock:
      return parse_npm_lock(text);
    case PackageFile::python:
      return parse_python_metadata(text);
    case PackageFile::gem_spec:
      return parse_gem_file_name(base_name(path));
    case PackageFile::gem_lock:
      return parse_gem_lock(text);
    case PackageFile::rpm_journal:
      return {{}, text.empty() ? "" : "it holds changes that are not in the database yet"};
  }
  return {};
}

PackageList parse_package_manifest(std::string_view text) {
  if (text.starts_with("Package:")) return parse_dpkg(text);
  PackageList list;
  for_each_line(text, [&](std::string_view line) {
    if (line.empty() || !list.problem.empty()) return;
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) {
      list.problem =
          fmt::format("'{}' is no line of the form NAME<tab>VERSION", line.substr(0, 100));
      return;
    }
    const std::string_view name = line.substr(0, tab);
    const std::size_t colon = std::min(name.find(':'), name.size());
    Package package = package_of_type("deb");
    package.name = name.substr(0, colon);
    package.version = trimmed(line.substr(tab + 1));
    if (colon < name.size()) package.qualifiers["arch"] = name.substr(colon + 1);
    add_package(list, std::move(package));
  });
  return list;
}

}  // namespace bundle::attest
