// JSON pointers (RFC 6901): how messages and positions name a value inside a document.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"

namespace bundle::codec {

// The pointer to a member or item of what `pointer` names.
std::string pointer_append(std::string_view pointer, std::string_view key);
std::string pointer_append(std::string_view pointer, std::size_t index);

// The reference tokens, unescaped. Empty for "" and for what does not start with '/'.
std::vector<std::string> pointer_tokens(std::string_view pointer);

// A token as an array index; nothing when it is none.
std::optional<std::size_t> pointer_index(std::string_view token);

// What `pointer` names in `root`, and lives as long as that; nullptr when there is nothing.
const Json* value_at(const Json& root, std::string_view pointer);

}  // namespace bundle::codec
