#include <fmt/format.h>

#include "bundle/error.h"
#include "io/file_system.h"

namespace bundle {

Bytes read_file(FileSystem& fs, const Path& path, std::uint64_t limit) {
  const auto file = fs.open(path);
  if (file->size() > limit) {
    throw Error(ErrorCode::limit,
                fmt::format("{} has {} bytes, more than the limit of {}", path.string(),
                            file->size(), limit),
                "This is not the file that it should be: check the path, or copy it again.");
  }
  FileSource source(*file);
  return read_all(source, limit, path.string());
}

std::string read_text_file(FileSystem& fs, const Path& path, std::uint64_t limit) {
  const Bytes bytes = read_file(fs, path, limit);
  return std::string(as_text(bytes));
}

void write_file_atomically(FileSystem& fs, const Path& path, ByteView content) {
  Path beside = path;
  beside += ".new";
  {
    const auto file = fs.open_writable(beside);
    file->truncate(0);
    file->write(content);
    file->sync();
  }
  fs.rename(beside, path);
  const Path parent = path.parent_path();
  fs.sync_directory(parent.empty() ? Path(".") : parent);
}

Path real_path(const Path& path) {
  std::error_code error;
  Path real = std::filesystem::canonical(path, error);
  if (!error) return real;
  throw Error(ErrorCode::not_found,
              fmt::format("cannot follow {}: {}", path.string(), error.message()),
              "Check the path.");
}

std::size_t FileSource::read(std::span<std::uint8_t> buffer) {
  const std::size_t count = file_.read_at(offset_, buffer);
  offset_ += count;
  return count;
}

}  // namespace bundle
