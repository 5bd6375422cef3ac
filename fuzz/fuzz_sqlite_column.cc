// rpm's SQLite databases: bytes of image layers, read by libsqlite3 behind our limits.
#include <cstddef>

#include "codec/sqlite_column.h"

using namespace bundle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr codec::SqliteLimits kLimits{1 << 16, 100};
  Bytes file(data, data + size);
  std::size_t handed_out = 0;
  std::uint64_t rows = 0;
  codec::read_sqlite_column(file, {"Packages", "blob"}, kLimits, [&](ByteView value) {
    handed_out += value.size();
    ++rows;
  });
  if (handed_out > size || rows > kLimits.rows) __builtin_trap();
  return 0;
}
