#include "trust/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "bundle/error.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

// Our documents nest three levels; the rest is room for later versions.
constexpr std::size_t kMaxDepth = 8;

constexpr std::string_view kOriginHint =
    "The vendor's tool wrote it wrongly, or it is no document of this system. Ask the vendor.";

constexpr std::size_t kMaxVersionBytes = 20;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
}

[[noreturn]] void invalid(std::string_view what, std::string_view problem) {
  throw Error(ErrorCode::statement_invalid, fmt::format("{}: {}", what, problem),
              std::string(kOriginHint));
}

void check_header(const codec::Json& document, std::string_view what, std::string_view type) {
  if (!document.is_object()) invalid(what, "not a JSON object");
  const codec::Json* type_member = document.find("_type");
  if (type_member == nullptr || *type_member != codec::Json(type)) {
    invalid(what, fmt::format("its \"_type\" is not \"{}\"", type));
  }
  const codec::Json* version_member = document.find("spec_version");
  const bool has_version = version_member != nullptr && version_member->is_string();
  const std::string version = has_version ? version_member->as_string() : "";
  const auto major = major_version(version);
  if (!major) invalid(what, "\"spec_version\" is missing or malformed");
  if (*major != kMajorVersion) {
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: written for spec_version {}, this program reads 1.x", what, version),
        "Install a newer version of this program first.");
  }
}

}  // namespace

void check_size(std::string_view what, std::size_t size, std::size_t limit) {
  if (size <= limit) return;
  throw Error(
      ErrorCode::limit, fmt::format("{}: {} bytes, more than the limit of {}", what, size, limit),
      "A genuine one is far smaller: this file is damaged or hostile. Get it again from the "
      "vendor.");
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameBytes || !is_alphanumeric(text.front())) return false;
  return std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == '+' || c == '-';
  });
}

std::optional<unsigned> major_version(std::string_view text) {
  if (text.size() > kMaxVersionBytes) return std::nullopt;
  unsigned major = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, major);
  const bool shape = error == std::errc() && rest != end && *rest == '.' && rest + 1 != end &&
                     std::all_of(rest, end, [](char c) { return c == '.' || is_digit(c); });
  return shape ? std::optional(major) : std::nullopt;
}

Fields::Fields(const codec::Json& object, std::string what)
    : object_(object), what_(std::move(what)) {
  if (!object_.is_object()) invalid(what_, "not a JSON object");
}

void Fields::fail(std::string_view key, std::string_view problem) const {
  invalid(what_, fmt::format("\"{}\" {}", key, problem));
}

const codec::Json& Fields::member(std::string_view key) const {
  const codec::Json* found = object_.find(key);
  if (found == nullptr) fail(key, "is missing");
  return *found;
}

const std::string& Fields::string(std::string_view key) const {
  const codec::Json& value = member(key);
  if (!value.is_string()) fail(key, "is not a string");
  return value.as_string();
}

std::string Fields::name(std::string_view key) const {
  const std::string& value = string(key);
  if (!is_name(value)) {
    fail(key, fmt::format("is not 1 to {} of the characters A-Z a-z 0-9 . _ + - after a letter or "
                          "digit",
                          kMaxNameBytes));
  }
  return value;
}

std::string Fields::text(std::string_view key, std::size_t limit) const {
  if (!has(key)) return {};
  const std::string& value = string(key);
  if (value.size() > limit) fail(key, fmt::format("is longer than {} bytes", limit));
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(value, is_control)) fail(key, "has control characters");
  return value;
}

std::uint64_t Fields::number(std::string_view key, std::uint64_t least) const {
  const codec::Json& value = member(key);
  if (!value.is_int() || value.as_int() < 0) fail(key, "is not a whole number of zero or more");
  const auto number = static_cast<std::uint64_t>(value.as_int());
  if (number < least || number > kMaxJsonNumber) {
    fail(key, fmt::format("is {}, outside {} to {}", number, least, kMaxJsonNumber));
  }
  return number;
}

UnixTime Fields::time(std::string_view key) const {
  const auto time = parse_time(string(key));
  if (!time) fail(key, "is not a time like 2026-11-23T15:00:00Z");
  return *time;
}

Digest Fields::digest(std::string_view key) const {
  const std::string& value = string(key);
  if (!Digest::is_valid(value)) fail(key, "is not a digest like sha256:<64 hex digits>");
  return Digest::parse(value);
}

Fields Fields::object(std::string_view key) const {
  const codec::Json& value = member(key);
  if (!value.is_object()) fail(key, "is not an object");
  return {value, fmt::format("{}: \"{}\"", what_, key)};
}

std::vector<Fields> Fields::objects(std::string_view key, std::size_t limit) const {
  std::vector<Fields> result;
  if (!has(key)) return result;
  const codec::Json& value = member(key);
  if (!value.is_array()) fail(key, "is not an array");
  if (value.as_array().size() > limit) fail(key, fmt::format("has more than {} entries", limit));
  for (const codec::Json& entry : value.as_array()) {
    result.emplace_back(entry, fmt::format("{}: \"{}\"[{}]", what_, key, result.size()));
  }
  return result;
}

std::vector<std::string> Fields::strings(std::string_view key, std::size_t limit) const {
  std::vector<std::string> result;
  if (!has(key)) return result;
  const codec::Json& value = member(key);
  if (!value.is_array()) fail(key, "is not an array");
  if (value.as_array().size() > limit) fail(key, fmt::format("has more than {} entries", limit));
  for (const codec::Json& entry : value.as_array()) {
    if (!entry.is_string()) fail(key, "has an entry that is not a string");
    result.push_back(entry.as_string());
  }
  return result;
}

codec::Json parse_document(std::string_view json, std::string_view what, std::string_view type,
                           std::size_t max_bytes) {
  check_size(what, json.size(), max_bytes);
  codec::Json document;
  std::string canonical;
  try {
    document = codec::parse_json(json, what, {.max_bytes = max_bytes, .max_depth = kMaxDepth});
    canonical = codec::canonical_json(document);
  } catch (const Error& error) {
    throw Error(ErrorCode::statement_invalid, error.message(), std::string(kOriginHint));
  }
  check_header(document, what, type);
  if (canonical != json) {
    const auto [ours, theirs] = std::ranges::mismatch(canonical, json);
    invalid(what, fmt::format("not canonical JSON (first difference at byte {})",
                              ours - canonical.begin()));
  }
  return document;
}

codec::Json new_document(std::string_view type) {
  codec::Json document = codec::Json::object();
  document.set("_type", type);
  document.set("spec_version", kSpecVersion);
  return document;
}

}  // namespace bundle::trust
