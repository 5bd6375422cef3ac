#include "transfer/origin.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "io/safe_path.h"

namespace bundle::transfer {
namespace {

class FolderOrigin final : public Origin {
 public:
  FolderOrigin(FileSystem& fs, Path folder) : fs_(fs), folder_(std::move(folder)) {}

  std::optional<OriginDocument> read(const std::string& name,
                                     const OriginQuery& query) const override {
    const Path path = join_safely(folder_, name, "a name in the listing");
    const auto status = fs_.status(path);
    if (!status) return std::nullopt;
    OriginDocument document;
    document.validator.etag =
        fmt::format("{}-{}-{}", status->inode, status->size, status->mtime_ns);
    document.unchanged = document.validator == query.known;
    if (!document.unchanged) document.content = read_text_file(fs_, path, query.max_bytes);
    return document;
  }

  std::unique_ptr<ReadableFile> open(const std::string& name, std::uint64_t size) const override {
    auto file = fs_.open(join_safely(folder_, name, "a name in the listing"));
    if (file->size() == size) return file;
    throw Error(ErrorCode::volume_truncated,
                fmt::format("{} has {} bytes, and {} by the listing", file->path().string(),
                            file->size(), size),
                "The copy of the origin is not whole: copy it again.");
  }

  std::string text() const override { return folder_.string(); }
  bool is_remote() const override { return false; }

 private:
  FileSystem& fs_;
  Path folder_;
};

}  // namespace

// http_origin.cc
std::shared_ptr<Origin> open_http_origin(FileSystem& fs, const std::string& address,
                                         const OriginOptions& options);

bool is_web_address(std::string_view place) {
  return place.starts_with("http://") || place.starts_with("https://");
}

std::shared_ptr<Origin> open_origin(FileSystem& fs, const std::string& place,
                                    const OriginOptions& options) {
  if (is_web_address(place)) return open_http_origin(fs, place, options);
  return std::make_shared<FolderOrigin>(fs, place);
}

}  // namespace bundle::transfer
