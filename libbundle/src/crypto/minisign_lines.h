// Private to the crypto room: the line structure that minisign's three file kinds share.
#pragma once

#include <string_view>
#include <vector>

#include "bundle/error.h"

namespace bundle {

inline constexpr std::string_view kUntrustedPrefix = "untrusted comment: ";
inline constexpr std::string_view kTrustedPrefix = "trusted comment: ";

// Splits `text` into exactly `count` lines; the last line end may be missing. Refuses carriage
// returns, other control characters and text past kMaxMinisignFileBytes with Error{code}.
std::vector<std::string_view> minisign_lines(std::string_view text, std::size_t count,
                                             ErrorCode code, std::string_view what);

// The text after `prefix`, at most `limit` bytes.
std::string_view minisign_comment(std::string_view line, std::string_view prefix, std::size_t limit,
                                  ErrorCode code, std::string_view what);

// True for one line of printable ASCII, which every version of minisign accepts as a comment.
bool is_minisign_comment(std::string_view text, std::size_t limit);

}  // namespace bundle
