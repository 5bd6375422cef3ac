#include "attest/language_packages.h"

#include <algorithm>
#include <cctype>

#include "bundle/error.h"
#include "codec/json.h"

namespace bundle::attest {
namespace {

using codec::Json;

// Lock files of version 1 nest as deep as the dependencies do.
constexpr codec::JsonLimits kJsonLimits{kMaxPackageJsonBytes, 64};

// Calls `read(document)` and turns what is thrown into the list's problem.
template <typename Read>
PackageList read_json(std::string_view text, Read read) {
  PackageList list;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  try {
    read(codec::parse_json(text, "JSON", kJsonLimits), list);
  } catch (const Error& error) {
    list.problem = error.message();
  }
  return list;
}

std::string text_of(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

bool is_true(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && value->is_bool() && value->as_bool();
}

Package npm(std::string_view full_name, std::string version) {
  Package package = package_of_type("npm");
  const std::size_t slash = full_name.starts_with('@') ? full_name.find('/') : std::string::npos;
  if (slash != std::string_view::npos) {
    package.space = full_name.substr(0, slash);
    full_name.remove_prefix(slash + 1);
  }
  package.name = full_name;
  package.version = std::move(version);
  return package;
}

// "packages" of versions 2 and 3: by path of the package's folder. The one without a path is the
// project itself, links lead to others of the list.
void read_lock_packages(const Json::Object& packages, PackageList& list) {
  constexpr std::string_view kFolder = "node_modules/";
  for (const auto& [path, entry] : packages) {
    const std::size_t at = path.rfind(kFolder);
    if (at == std::string::npos || is_true(entry, "dev") || is_true(entry, "link")) continue;
    const std::string version = text_of(entry, "version");
    if (version.empty()) continue;
    const std::string alias = text_of(entry, "name");  // when it is installed under another name
    add_package(list, npm(alias.empty() ? std::string_view(path).substr(at + kFolder.size())
                                        : std::string_view(alias),
                          version));
  }
}

// "dependencies" of version 1, nested. The parser's depth limit bounds the recursion.
void read_lock_dependencies(const Json& owner, PackageList& list) {
  const Json* dependencies = owner.find("dependencies");
  if (dependencies == nullptr || !dependencies->is_object()) return;
  for (const auto& [name, entry] : dependencies->as_object()) {
    if (is_true(entry, "dev")) continue;
    const std::string version = text_of(entry, "version");
    if (!version.empty()) add_package(list, npm(name, version));
    read_lock_dependencies(entry, list);
  }
}

// PEP 503: lower case, runs of "-", "_" and "." are one "-".
std::string python_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '-' || c == '_' || c == '.') {
      if (!out.ends_with('-')) out += '-';
    } else {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return out;
}

std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

PackageList parse_npm_package(std::string_view text) {
  return read_json(text, [](const Json& json, PackageList& list) {
    const std::string name = text_of(json, "name");
    const std::string version = text_of(json, "version");
    // Folders within packages have files of this name that only set the module type.
    if (!name.empty() && !version.empty()) add_package(list, npm(name, version));
  });
}

PackageList parse_npm_lock(std::string_view text) {
  return read_json(text, [](const Json& json, PackageList& list) {
    const Json* packages = json.find("packages");
    if (packages != nullptr && packages->is_object()) {
      read_lock_packages(packages->as_object(), list);
    } else {
      read_lock_dependencies(json, list);
    }
  });
}

PackageList parse_python_metadata(std::string_view text) {
  constexpr std::string_view kName = "Name: ";
  constexpr std::string_view kVersion = "Version: ";
  Package package = package_of_type("pypi");
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    if (line.empty()) break;  // the description follows
    if (line.starts_with(kName)) package.name = python_name(line.substr(kName.size()));
    if (line.starts_with(kVersion)) package.version = line.substr(kVersion.size());
  }
  PackageList list;
  add_package(list, std::move(package));
  return list;
}

PackageList parse_gem_lock(std::string_view text) {
  constexpr std::string_view kIndent = "    ";
  PackageList list;
  bool in_gems = false;  // sections GIT and PATH are the project's own
  while (!text.empty()) {
    std::string_view line = next_line(text);
    if (!line.starts_with(' ')) in_gems = line == "GEM";
    // Four spaces: a gem and its version; six: what it depends on.
    if (!in_gems || !line.starts_with(kIndent) || line.starts_with("     ")) continue;
    line.remove_prefix(kIndent.size());
    const std::size_t open = line.find(" (");
    if (open == std::string_view::npos || !line.ends_with(')')) continue;
    Package package = package_of_type("gem");
    package.name = line.substr(0, open);
    package.version = line.substr(open + 2, line.size() - open - 3);
    add_package(list, std::move(package));
  }
  return list;
}

PackageList parse_gem_file_name(std::string_view file_name) {
  constexpr std::string_view kSuffix = ".gemspec";
  PackageList list;
  if (!file_name.ends_with(kSuffix)) return list;
  file_name.remove_suffix(kSuffix.size());
  // A name may hold dashes and digits ("net-http2-0.18.4"); a version begins with a digit after a
  // dash, and a platform may follow it ("nokogiri-1.16.0-x86_64-linux").
  for (std::size_t dash = file_name.find('-'); dash != std::string_view::npos;
       dash = file_name.find('-', dash + 1)) {
    if (dash + 1 == file_name.size() ||
        std::isdigit(static_cast<unsigned char>(file_name[dash + 1])) == 0) {
      continue;
    }
    Package package = package_of_type("gem");
    package.name = file_name.substr(0, dash);
    const std::string_view rest = file_name.substr(dash + 1);
    package.version = rest.substr(0, rest.find('-'));
    add_package(list, std::move(package));
    break;
  }
  return list;
}

}  // namespace bundle::attest
