// Hash databases of Berkeley DB, as far as rpm used them (Packages), read-only.
// Source: Berkeley DB 5.3 src/dbinc/db_page.h; rpm lib/backend/bdb_ro.cc.
#pragma once

#include <functional>
#include <string>

#include "base/bytes.h"

namespace bundle::attest {

bool is_berkeley_hash(ByteView file);  // by the magic number in its first page

// Calls `take` with each key and value; views are valid during the call. Returns why not all could
// be read; empty: all were. Either byte order; no encryption, checksums or duplicates. Values of
// more than `max_value` bytes are a problem.
//
// Bytes of strangers: never throws for them and reads no byte twice. Memory: one value and a bit
// for each page.
std::string read_berkeley_hash(ByteView file, std::uint32_t max_value,
                               const std::function<void(ByteView key, ByteView value)>& take);

}  // namespace bundle::attest
