// JSON behind one adapter: a small value model, a strict parser, and canonical output.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "bundle/error.h"

namespace bundle::codec {

// A JSON value. Numbers are 64-bit integers or doubles. Copyable; deep copies.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json, std::less<>>;  // sorted by key, bytewise

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(std::int64_t value) : value_(value) {}
  Json(int value) : value_(static_cast<std::int64_t>(value)) {}
  Json(std::uint64_t value);  // throws Error{limit} past the range of int64
  Json(double value) : value_(value) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(value_); }
  bool is_double() const { return std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  // Throw Error{json_invalid} on another type.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_double() const;       // an integer too
  std::uint64_t as_size() const;  // a non-negative integer
  const std::string& as_string() const;
  const Array& as_array() const;
  const Object& as_object() const;
  Array& as_array();
  Object& as_object();

  // Object member; nullptr when absent or when this is no object.
  const Json* find(std::string_view key) const;
  // Object member; throws Error{json_invalid} naming the key when absent.
  const Json& at(std::string_view key) const;
  // Member as a string, or `otherwise` when absent.
  std::string string_or(std::string_view key, std::string_view otherwise) const;
  // Inserts or replaces a member; a null value becomes an object first.
  Json& set(std::string key, Json value);
  // Appends to an array; a null value becomes an array first.
  void push_back(Json value);

  bool operator==(const Json&) const = default;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

struct JsonLimits {
  std::size_t max_bytes = 4 * 1024 * 1024;
  std::size_t max_depth = 32;
};

// Strict RFC 8259: UTF-8, no duplicate keys, no trailing text, within the limits.
// Throws Error{json_invalid} naming `what` and the byte offset, or Error{limit}.
// Peak memory: about ten times the text.
Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});

// OLPC canonical JSON as TUF uses it (sorted keys, no white space, integers only): the bytes that
// are signed. Throws Error{json_invalid} on a fractional number.
std::string canonical_json(const Json& value);
// Compact output (`indent` 0) or indented output for people. Keys sorted; valid UTF-8 kept.
std::string dump_json(const Json& value, int indent = 0);

}  // namespace bundle::codec
