// Volume headers, file lists and tails: parsed before any signature is checked.
#include <cstddef>

#include "bundle/error.h"
#include "format/volume.h"

using namespace bundle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  try {
    const format::VolumeHeader header = format::decode_volume_header(bytes, "input");
    if (format::encode_volume_header(header) != Bytes(bytes.begin(), bytes.end())) __builtin_trap();
  } catch (const Error&) {
  }
  try {
    const format::FileList files = format::decode_file_list(bytes, "input");
    if (format::encode_file_list(files) != Bytes(bytes.begin(), bytes.end())) __builtin_trap();
  } catch (const Error&) {
  }
  try {
    const format::FileList files = format::decode_tail(bytes, "input");
    if (format::encode_tail(files) != Bytes(bytes.begin(), bytes.end())) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
