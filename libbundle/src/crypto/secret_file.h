// Files that only their owner may read.
#pragma once

#include "base/bytes.h"
#include "io/file_system.h"

namespace bundle {

// Writes the file anew with mode 0600, or replaces it by rename and leaves it its owner; a reader
// and a crash see the old or the new content. It never exists under a wider mode.
// Throws Error{no_space|read_only|io_error}.
void write_secret_file(FileSystem& fs, const Path& path, ByteView content);

}  // namespace bundle
