#include "codec/json_pointer.h"

#include <fmt/format.h>

#include <charconv>

namespace bundle::codec {

std::string pointer_append(std::string_view pointer, std::string_view key) {
  std::string out(pointer);
  out.push_back('/');
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string pointer_append(std::string_view pointer, std::size_t index) {
  return fmt::format("{}/{}", pointer, index);
}

std::vector<std::string> pointer_tokens(std::string_view pointer) {
  std::vector<std::string> tokens;
  if (!pointer.starts_with('/')) return tokens;
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '/') {
      tokens.emplace_back();
    } else if (pointer[i] == '~' && i + 1 < pointer.size()) {
      tokens.back().push_back(pointer[++i] == '1' ? '/' : '~');
    } else {
      tokens.back().push_back(pointer[i]);
    }
  }
  return tokens;
}

std::optional<std::size_t> pointer_index(std::string_view token) {
  std::size_t index = 0;
  const char* end = token.data() + token.size();
  const auto [stop, failure] = std::from_chars(token.data(), end, index);
  if (failure != std::errc{} || stop != end) return std::nullopt;
  return index;
}

const Json* value_at(const Json& root, std::string_view pointer) {
  const Json* value = &root;
  for (const std::string& token : pointer_tokens(pointer)) {
    if (value->is_array()) {
      const auto index = pointer_index(token);
      if (!index || *index >= value->as_array().size()) return nullptr;
      value = &value->as_array()[*index];
    } else {
      value = value->find(token);
      if (value == nullptr) return nullptr;
    }
  }
  return value;
}

}  // namespace bundle::codec
