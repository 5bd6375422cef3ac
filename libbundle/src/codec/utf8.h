// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace bundle::codec {

// The offset of the first byte that is not part of a well-formed sequence; nothing when all is
// well.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

}  // namespace bundle::codec
