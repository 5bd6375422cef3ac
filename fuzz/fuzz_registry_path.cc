// The request target, the Range header and the Content-Range of a pushed chunk, as any client may
// send them.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <variant>

#include "registry/byte_range.h"
#include "registry/request_limits.h"
#include "registry/request_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = bundle::registry::parse_request_target(text);
  if (const auto* route = std::get_if<bundle::registry::Route>(&parsed)) {
    const bool named = !route->name.empty();
    if (named && !bundle::registry::is_valid_name(route->name)) std::abort();
    if (route->reference.find('/') != std::string::npos) std::abort();
    if (text.size() > bundle::registry::kMaxTargetBytes) std::abort();
  } else if (std::get<bundle::registry::Failure>(parsed).status < 400) {
    std::abort();
  }
  const std::uint64_t blob_size = size * 7;
  const auto range = bundle::registry::parse_byte_range(text, blob_size);
  if (const auto* part = std::get_if<bundle::registry::ByteRange>(&range)) {
    if (part->first > part->last || part->last >= blob_size) std::abort();
  }
  if (const auto chunk = bundle::registry::parse_chunk_range(text)) {
    if (chunk->first > chunk->last || chunk->length() == 0) std::abort();
  }
  return 0;
}
