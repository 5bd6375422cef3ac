#include <cstddef>

#include "bundle/error.h"
#include "format/document_pack.h"

using namespace bundle;

// Two bytes of manifest size, two of blob count, the frame.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const auto manifest_size = load_le<std::uint16_t>(data);
  const auto blobs = load_le<std::uint16_t>(data + 2);
  try {
    const auto documents =
        format::unpack_documents(ByteView(data, size).subspan(4), manifest_size, blobs);
    if (documents.manifest.size() != manifest_size) __builtin_trap();
    try {
      const auto list = format::decode_blob_list(documents.blob_list, "input");
      if (list.size() != blobs) __builtin_trap();
    } catch (const Error&) {
    }
  } catch (const Error&) {
  }
  return 0;
}
