#include <cstddef>

#include "bundle/error.h"
#include "format/blob_list.h"

using namespace bundle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    if (format::encode_blob_list(format::decode_blob_list(text, "input")) != text) __builtin_trap();
  } catch (const Error&) {
  }
  try {
    if (format::encode_base_list(format::decode_base_list(text, "input")) != text) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
