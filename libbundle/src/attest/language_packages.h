// The package managers of programming languages; see package_files.h.
#pragma once

#include <string_view>

#include "attest/package_files.h"

namespace bundle::attest {

// Appends unless the list is full or the package is not sane; says so in the list's problem.
void add_package(PackageList& list, Package package);

PackageList parse_npm_package(std::string_view text);
// lockfileVersion 1 to 3; packages for development only are left out.
PackageList parse_npm_lock(std::string_view text);
PackageList parse_python_metadata(std::string_view text);
PackageList parse_gem_lock(std::string_view text);
// "NAME-VERSION.gemspec".
PackageList parse_gem_file_name(std::string_view file_name);

}  // namespace bundle::attest
