// The files of an OCI layout or docker archive, whether in a directory or in a tar.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "crypto/digest.h"
#include "io/file_system.h"

namespace bundle::oci {

// A range of an open file.
struct FileRange {
  std::shared_ptr<const ReadableFile> file;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// Streams a range as it is. Throws Error{io_error} when the file has become shorter.
std::unique_ptr<Source> range_source(FileRange range);
// Streams a range and hashes it: the read that completes it throws Error{blob_mismatch} instead of
// returning when the digest is another one. Throws that at once when the range has another size.
std::unique_ptr<Source> verified_source(FileRange range, const Digest& digest, std::uint64_t size,
                                        std::string what);

// Named files below one root. Thread-safe.
class LayoutFiles {
 public:
  virtual ~LayoutFiles() = default;
  // A regular file by relative path ("blobs/sha256/<hex>"); nothing when absent. Throws
  // Error{unsafe_path} when the path could leave the root or leads to no regular file.
  virtual std::optional<FileRange> open(const std::string& path) const = 0;
  virtual std::string name() const = 0;  // for messages: the directory or archive
};

// A directory. Follows no symlink below `root`.
std::unique_ptr<LayoutFiles> directory_files(FileSystem& fs, const Path& root);

// Links between members of an archive that one path may pass through.
inline constexpr std::size_t kMaxArchiveLinks = 8;

// A tar archive: its members are indexed once (codec::index_tar, headers only), then read by
// offset; nothing is unpacked, so that links in it can only lead to other members.
// Throws Error{archive_invalid|unsafe_path|name_collision|limit}.
std::unique_ptr<LayoutFiles> archive_files(FileSystem& fs, const Path& file);

}  // namespace bundle::oci
