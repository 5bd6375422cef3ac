// A software package, named as package URLs name it.
// Source: package-url/purl-spec PURL-SPECIFICATION.rst and PURL-TYPES.rst.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::attest {

struct Package {
  std::string
      type;  // purl's: "deb", "apk", "rpm", "npm", "pypi", "golang", "gem", "oci", "generic"
  std::string space;  // purl's namespace: "debian", "@scope", "github.com/user"; may be empty
  std::string name;
  std::string version;                            // may be empty
  std::map<std::string, std::string> qualifiers;  // "arch", "distro"; empty values are left out
  // What the package manager says besides, in its own words; may be empty. Not part of the URL.
  std::string license;
  std::string supplier;
  std::string source;  // the source package
  auto operator<=>(const Package&) const = default;
};

inline Package package_of_type(std::string_view type) {
  Package package;
  package.type = type;
  return package;
}

// "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12".
std::string package_url(const Package& package);

}  // namespace bundle::attest
