#include "codec/json.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

#include "codec/json_nlohmann.h"

namespace bundle::codec {
namespace {

constexpr std::string_view kHint =
    "The document is damaged or was made wrong: copy it again from the original, or ask whoever "
    "made "
    "it.";

[[noreturn]] void fail(ErrorCode code, std::string message) {
  throw Error(code, std::move(message), std::string(kHint));
}

[[noreturn]] void wrong_type(std::string_view wanted) {
  fail(ErrorCode::json_invalid, fmt::format("a JSON value is not {}", wanted));
}

// Builds a Json from nlohmann's events. The depth and duplicate-key rules live here, because a
// ready-made tree has already lost them.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(std::string_view what, std::size_t max_depth) : what_(what), max_depth_(max_depth) {}

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(std::int64_t value) override { return add(Json(value)); }
  bool number_unsigned(std::uint64_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      fail("a number is too large");
    }
    return add(Json(static_cast<std::int64_t>(value)));
  }
  bool number_float(double value, const std::string& text) override {
    if (!std::isfinite(value)) fail(fmt::format("the number {} is too large", text.substr(0, 40)));
    return add(Json(value));
  }
  bool string(std::string& value) override { return add(Json(std::move(value))); }
  bool binary(nlohmann::json::binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    if (stack_.back().value.find(name) != nullptr) {
      fail(fmt::format("the key '{}' appears twice in one object", name.substr(0, 100)));
    }
    stack_.back().key = std::move(name);
    return true;
  }

  bool parse_error(std::size_t offset, const std::string&,
                   const nlohmann::json::exception& error) override {
    std::string_view reason = error.what();
    if (const auto at = reason.find("syntax error"); at != std::string_view::npos) {
      reason.remove_prefix(at);
    }
    codec::fail(ErrorCode::json_invalid, fmt::format("{}: malformed JSON near byte {}: {}", what_,
                                                     offset, reason.substr(0, 200)));
  }

  Json take() { return std::move(result_); }

 private:
  struct Frame {
    Json value;
    std::string key;
  };

  [[noreturn]] void fail(std::string_view reason) const {
    codec::fail(ErrorCode::json_invalid, fmt::format("{}: {}", what_, reason));
  }

  bool add(Json value) {
    if (stack_.empty()) {
      result_ = std::move(value);
      return true;
    }
    Frame& top = stack_.back();
    if (top.value.is_array()) {
      top.value.push_back(std::move(value));
    } else {
      top.value.set(std::move(top.key), std::move(value));
    }
    return true;
  }

  bool open(Json container) {
    if (stack_.size() >= max_depth_) {
      codec::fail(ErrorCode::limit,
                  fmt::format("{}: JSON is nested deeper than {} levels", what_, max_depth_));
    }
    stack_.push_back({std::move(container), {}});
    return true;
  }

  bool close() {
    Json done = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(done));
  }

  std::string_view what_;
  std::size_t max_depth_;
  std::vector<Frame> stack_;
  Json result_;
};

// OLPC canonical JSON escapes only the quote and the backslash.
void append_canonical_string(std::string& out, const std::string& text) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

void append_canonical(std::string& out, const Json& value) {
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_int()) {
    out += std::to_string(value.as_int());
  } else if (value.is_string()) {
    append_canonical_string(out, value.as_string());
  } else if (value.is_array()) {
    out.push_back('[');
    bool first = true;
    for (const Json& item : value.as_array()) {
      if (!std::exchange(first, false)) out.push_back(',');
      append_canonical(out, item);
    }
    out.push_back(']');
  } else if (value.is_object()) {
    out.push_back('{');
    bool first = true;
    for (const auto& [key, item] : value.as_object()) {
      if (!std::exchange(first, false)) out.push_back(',');
      append_canonical_string(out, key);
      out.push_back(':');
      append_canonical(out, item);
    }
    out.push_back('}');
  } else {
    fail(ErrorCode::json_invalid, "canonical JSON has no fractional numbers");
  }
}

}  // namespace

nlohmann::json to_nlohmann(const Json& value) {
  if (value.is_bool()) return value.as_bool();
  if (value.is_int()) return value.as_int();
  if (value.is_double()) return value.as_double();
  if (value.is_string()) return value.as_string();
  if (value.is_array()) {
    auto out = nlohmann::json::array();
    for (const Json& item : value.as_array()) out.push_back(to_nlohmann(item));
    return out;
  }
  if (value.is_object()) {
    auto out = nlohmann::json::object();
    for (const auto& [key, item] : value.as_object()) out[key] = to_nlohmann(item);
    return out;
  }
  return nullptr;
}

Json::Json(std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    fail(ErrorCode::limit, "a number is too large for JSON");
  }
  value_ = static_cast<std::int64_t>(value);
}

bool Json::as_bool() const {
  if (!is_bool()) wrong_type("true or false");
  return std::get<bool>(value_);
}
std::int64_t Json::as_int() const {
  if (!is_int()) wrong_type("an integer");
  return std::get<std::int64_t>(value_);
}
double Json::as_double() const {
  if (is_int()) return static_cast<double>(std::get<std::int64_t>(value_));
  if (!is_double()) wrong_type("a number");
  return std::get<double>(value_);
}
std::uint64_t Json::as_size() const {
  if (!is_int() || as_int() < 0) wrong_type("a non-negative integer");
  return static_cast<std::uint64_t>(as_int());
}
const std::string& Json::as_string() const {
  if (!is_string()) wrong_type("a string");
  return std::get<std::string>(value_);
}
const Json::Array& Json::as_array() const {
  if (!is_array()) wrong_type("an array");
  return std::get<Array>(value_);
}
const Json::Object& Json::as_object() const {
  if (!is_object()) wrong_type("an object");
  return std::get<Object>(value_);
}
Json::Array& Json::as_array() {
  if (!is_array()) wrong_type("an array");
  return std::get<Array>(value_);
}
Json::Object& Json::as_object() {
  if (!is_object()) wrong_type("an object");
  return std::get<Object>(value_);
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  const Object& object = std::get<Object>(value_);
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &found->second;
}

const Json& Json::at(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr) {
    fail(ErrorCode::json_invalid, fmt::format("the member '{}' is missing", key));
  }
  return *member;
}

std::string Json::string_or(std::string_view key, std::string_view otherwise) const {
  const Json* member = find(key);
  return member == nullptr ? std::string(otherwise) : member->as_string();
}

Json& Json::set(std::string key, Json value) {
  if (is_null()) value_ = Object{};
  as_object().insert_or_assign(std::move(key), std::move(value));
  return *this;
}

void Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  as_array().push_back(std::move(value));
}

Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    fail(ErrorCode::limit, fmt::format("{} has {} bytes, more than the limit of {}", what,
                                       text.size(), limits.max_bytes));
  }
  // nlohmann takes a zero byte for the end of the text.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    fail(ErrorCode::json_invalid, fmt::format("{}: malformed JSON: a zero byte at {}", what, zero));
  }
  Builder builder(what, limits.max_depth);
  if (!nlohmann::json::sax_parse(text, &builder)) {
    fail(ErrorCode::json_invalid, fmt::format("{}: malformed JSON", what));
  }
  return builder.take();
}

std::string canonical_json(const Json& value) {
  std::string out;
  append_canonical(out, value);
  return out;
}

std::string dump_json(const Json& value, int indent) {
  return to_nlohmann(value).dump(indent == 0 ? -1 : indent, ' ', false,
                                 nlohmann::json::error_handler_t::replace);
}

}  // namespace bundle::codec
