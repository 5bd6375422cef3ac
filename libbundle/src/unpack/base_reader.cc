#include "unpack/base_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"

namespace bundle::unpack {
namespace {

constexpr std::size_t kReadBuffer = 256 << 10;
constexpr std::uint64_t kMaxPoints = 512;  // of 32 KiB each
constexpr std::uint64_t kMinSpacing = 4 << 20;
constexpr std::uint64_t kUsualRatio = 4;  // plain to packed bytes of a layer

}  // namespace

BaseReader::BaseReader(const std::vector<format::BlobEntry>& blobs, Open open)
    : blobs_(blobs), open_(std::move(open)) {
  std::uint64_t bytes = 0;
  for (const format::BlobEntry& blob : blobs) bytes += blob.size;
  const std::uint64_t spacing = std::max(kMinSpacing, bytes * kUsualRatio / kMaxPoints);
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    points_.push_back(std::make_unique<codec::InflatePoints>(spacing));
  }
}

BaseCursors::Cursor& BaseCursors::cursor(std::uint32_t blob) {
  const auto found = std::ranges::find(open_, blob, &Cursor::blob);
  if (found != open_.end()) {
    open_.splice(open_.begin(), open_, found);
    return open_.front();
  }
  if (open_.size() == kMaxOpen) open_.pop_back();
  open_.push_front({blob, base_.open_(base_.blobs_[blob]), nullptr});
  return open_.front();
}

void BaseCursors::copy(const format::Run& run, Sink& out) {
  Cursor& at = cursor(run.base_blob);
  if (run.source == format::kBaseSource) return copy_raw(at, run, out);
  if (!at.inflate) {
    at.inflate = std::make_unique<codec::InflateCursor>(*at.file, *base_.points_[run.base_blob]);
  }
  at.inflate->copy(run.offset, run.length, out);
}

void BaseCursors::copy_raw(const Cursor& cursor, const format::Run& run, Sink& out) {
  Bytes buffer(static_cast<std::size_t>(std::min<std::uint64_t>(run.length, kReadBuffer)));
  for (std::uint64_t done = 0; done < run.length;) {
    const auto part =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), run.length - done));
    if (cursor.file->read_at(run.offset + done, std::span(buffer).first(part)) != part) {
      throw Error(ErrorCode::store_corrupt,
                  fmt::format("{} ends before byte {}", cursor.file->path().string(),
                              run.offset + run.length),
                  "This blob of the base release is damaged: import the base release again with "
                  "--repair, from any medium.");
    }
    out.write(ByteView(buffer).first(part));
    done += part;
  }
}

}  // namespace bundle::unpack
