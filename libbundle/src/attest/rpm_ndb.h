// rpm's own database "ndb" (Packages.db), as openSUSE and SUSE have it.
// Source: rpm lib/backend/ndb/rpmpkg.c (format 0).
#pragma once

#include <functional>
#include <string>

#include "base/bytes.h"

namespace bundle::attest {

bool is_rpm_ndb(ByteView file);  // by its first four bytes

// Calls `take` with each header. Returns why not all could be read; empty: all were. Bytes of
// strangers: never throws for them, reads no byte twice, and takes 16 bytes of memory for each slot
// in use.
std::string read_rpm_ndb(ByteView file, const std::function<void(ByteView)>& take);

}  // namespace bundle::attest
