// Reads one column of an SQLite database that a stranger wrote, by libsqlite3.
// Source: sqlite.org "Defense Against The Dark Arts", "sqlite3_deserialize", "Database File
// Format".
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/bytes.h"

namespace bundle::codec {

struct SqliteColumn {
  std::string table;
  std::string column;
};

// What a file may cost. A schema of more than some thousand entries is refused in any case.
struct SqliteLimits {
  std::uint32_t value_bytes = 0;  // the largest value
  std::uint64_t rows = 0;
};

bool is_sqlite(ByteView file);  // by its first 16 bytes

// Calls `take` with each value, in the order of the table; a view is valid during the call. Returns
// why not all could be read, in words without text from the file; empty: all were read. What was
// handed out before stays good.
//
// The file is read where it is, in memory, by a connection that can neither write nor open another
// file: no extension, view, trigger, virtual table or function is used, and no more bytes are
// handed out than the file has. It is changed in two bytes, the format versions (18 and 19 of the
// header): they say that there may be a write-ahead log beside the file, and this reader has none.
// Thread-safe. Peak memory: 2 MiB of pages, one value, and the schema (some tens of MiB at worst).
// Throws std::bad_alloc only, and what `take` throws.
std::string read_sqlite_column(std::span<std::uint8_t> file, const SqliteColumn& column,
                               const SqliteLimits& limits,
                               const std::function<void(ByteView)>& take);

}  // namespace bundle::codec
