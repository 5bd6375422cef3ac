// The Range header (RFC 9110, section 14) for one range of bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace bundle::registry {

// Bytes first .. last, both included; last < size.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t length() const { return last - first + 1; }
  bool operator==(const ByteRange&) const = default;
};

enum class WholeBody : std::uint8_t { ignored };  // answer 200: the header means nothing to us
enum class NotSatisfiable : std::uint8_t { past_end };  // answer 416

// `size` is the size of the blob. "bytes=500-", "bytes=-500" and an end past the last byte are
// resolved against it. Another unit, several ranges and malformed text are ignored, as the RFC
// says; a reversed range ("500-0") is 416, as registries answer it.
std::variant<WholeBody, NotSatisfiable, ByteRange> parse_byte_range(std::string_view header,
                                                                    std::uint64_t size);

// The Content-Range of a chunk that is pushed: "FIRST-LAST", with "bytes " before it and "/..."
// after it where a client writes it as for answers. Nothing when it is none.
std::optional<ByteRange> parse_chunk_range(std::string_view header);

}  // namespace bundle::registry
