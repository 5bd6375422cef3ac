#include "crypto/verified_copy.h"

#include <fmt/format.h>

#include "bundle/error.h"

namespace bundle {
namespace {

constexpr std::size_t kCopyBuffer = 256 * 1024;

Digest copy_bytes(const ReadableFile& source, WritableFile& out) {
  Sha256 hash;
  Bytes buffer(kCopyBuffer);
  for (std::uint64_t at = 0; at < source.size();) {
    const std::size_t got = source.read_at(at, buffer);
    if (got == 0) break;
    const ByteView bytes = ByteView(buffer).first(got);
    hash.write(bytes);
    out.write(bytes);
    at += got;
  }
  return hash.finish();
}

}  // namespace

void copy_into_place(FileSystem& fs, const Path& from, const Path& to, std::uint32_t mode,
                     const Digest* digest) {
  const Path folder = to.parent_path().empty() ? Path(".") : to.parent_path();
  const Path part = folder / ("." + to.filename().string() + ".part");
  const auto source = fs.open(from);
  fs.create_directories(folder);
  fs.remove(part);
  const auto out = fs.open_writable(part);
  const Digest found = copy_bytes(*source, *out);
  if (digest != nullptr && found != *digest) {
    fs.remove(part);
    throw Error(ErrorCode::store_corrupt,
                fmt::format("{} does not match its digest", from.string()),
                "Import the release again: it repairs the store. Nothing was replaced.");
  }
  out->sync();
  std::filesystem::permissions(part, static_cast<std::filesystem::perms>(mode));
  fs.rename(part, to);
  fs.sync_directory(folder);
}

}  // namespace bundle
