// Copying a file to where a program will use it.
#pragma once

#include <cstdint>

#include "crypto/digest.h"
#include "io/file_system.h"

namespace bundle {

// Writes beside the final name, syncs, and renames: whoever looks sees the old file or the new one,
// and after a power cut it is one of the two. With a `digest` nothing becomes visible that does not
// match it: Error{store_corrupt}. Missing folders are made. Memory: 256 KiB.
void copy_into_place(FileSystem& fs, const Path& from, const Path& to, std::uint32_t mode,
                     const Digest* digest);

}  // namespace bundle
