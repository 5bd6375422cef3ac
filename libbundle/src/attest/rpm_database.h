// What rpm has installed, from its database in any of its three forms.
#pragma once

#include <span>

#include "attest/package_files.h"

namespace bundle::attest {

// Databases of container images have 10 to 40 MiB: they hold the names of all files.
inline constexpr std::uint64_t kMaxRpmDatabaseBytes = 64 * 1024 * 1024;

// SQLite (rpmdb.sqlite), ndb (Packages.db) or a Berkeley DB hash (Packages), told apart by their
// first bytes. Never throws for what it reads. What is left of a damaged database is listed. May
// change two bytes of `file` (codec::read_sqlite_column). Peak memory: `file`, one header, and what
// codec::read_sqlite_column says.
PackageList parse_rpm_database(std::span<std::uint8_t> file);

}  // namespace bundle::attest
