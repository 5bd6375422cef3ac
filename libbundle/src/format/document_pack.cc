#include "format/document_pack.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "codec/zstd.h"
#include "format/byte_reader.h"
#include "format/limits.h"

namespace bundle::format {
namespace {

constexpr int kLevel = 19;
constexpr std::size_t kSizeBytes = 6;      // of a blob's size: kMaxBlobBytes fits
constexpr std::size_t kShortestLine = 74;  // "sha256:", 64 digits, blank, one digit, line end
constexpr std::size_t kEntryBytes = Digest::kSize + kSizeBytes;

}  // namespace

Bytes pack_documents(std::string_view manifest, const std::vector<BlobEntry>& blobs) {
  ByteWriter plain;
  plain.raw(as_bytes(manifest));
  for (const BlobEntry& blob : blobs) plain.raw(blob.digest.bytes());
  // Byte by byte: the high ones are alike.
  for (std::size_t byte = 0; byte < kSizeBytes; ++byte) {
    for (const BlobEntry& blob : blobs) plain.le(static_cast<std::uint8_t>(blob.size >> 8 * byte));
  }
  codec::ZstdParams params;
  params.level = kLevel;
  return codec::ZstdCompressor(params).compress(plain.bytes());
}

ReleaseDocuments unpack_documents(ByteView packed, std::uint64_t manifest_size,
                                  std::uint64_t blob_count) {
  if (manifest_size > kMaxDocumentBytes || blob_count > kMaxBlobListBytes / kShortestLine) {
    throw Error(ErrorCode::statement_invalid,
                fmt::format("statement.json: a manifest of {} bytes and {} blobs are too many",
                            manifest_size, blob_count),
                std::string(kMadeWrong));
  }
  const auto count = static_cast<std::size_t>(blob_count);
  Bytes plain(static_cast<std::size_t>(manifest_size) + count * kEntryBytes);
  codec::zstd_decompress(packed, plain, "the file 'documents' of the bundle's head");
  const ByteView digests = ByteView(plain).subspan(static_cast<std::size_t>(manifest_size));
  const ByteView sizes = digests.subspan(count * Digest::kSize);
  std::vector<BlobEntry> blobs(count);
  for (std::size_t i = 0; i < count; ++i) {
    blobs[i].digest = Digest::from_bytes(digests.subspan(i * Digest::kSize, Digest::kSize));
    for (std::size_t byte = 0; byte < kSizeBytes; ++byte) {
      blobs[i].size |= std::uint64_t{sizes[byte * count + i]} << 8 * byte;
    }
  }
  return {std::string(as_text(ByteView(plain).first(static_cast<std::size_t>(manifest_size)))),
          encode_blob_list(std::move(blobs))};
}

}  // namespace bundle::format
