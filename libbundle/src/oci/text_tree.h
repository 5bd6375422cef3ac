// Small trees of files held in memory: what is packed into, or read out of, a chart or an artifact
// of desired state. Never for images.
#pragma once

#include <map>
#include <string>

#include "io/file_system.h"
#include "io/stream.h"

namespace bundle::oci {

// By path, '/' between parts, each a safe relative path; in bytewise order.
using TextTree = std::map<std::string, std::string, std::less<>>;

inline constexpr std::uint64_t kMaxTreeBytes = 64 * 1024 * 1024;  // all files together
inline constexpr std::size_t kMaxTreeFiles = 16'384;
inline constexpr std::size_t kMaxTreeDepth = 32;

// The plain files below a folder, hidden ones left out. Throws Error{unsafe_path} for anything but
// plain files and folders (links, devices, odd names), Error{limit}, and what reading throws.
TextTree read_folder_tree(FileSystem& fs, const Path& folder);

// The plain files of a .tar.gz. Directories are passed over. `what` is for messages. Throws
// Error{archive_invalid|unsafe_path|bomb|limit}, Error{name_collision} for a path given twice.
TextTree read_tar_gz_tree(Source& packed, std::string_view what);

// The tree as a .tar.gz of which every byte follows from the tree: owner 0, mode 0644, time 0.
Bytes pack_tar_gz_tree(const TextTree& tree);
// The same without the compression.
Bytes pack_tar_tree(const TextTree& tree);

}  // namespace bundle::oci
