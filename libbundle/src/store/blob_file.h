// A file that should be a blob.
#pragma once

#include <string>

#include "bundle/progress.h"
#include "format/blob_list.h"
#include "io/file_system.h"

namespace bundle::store {

// Reads the file and compares: empty when it is sound, else what is wrong with it, for people.
std::string blob_file_problem(FileSystem& fs, const Path& file, const format::BlobEntry& blob,
                              const Cancel& cancel);

}  // namespace bundle::store
