// Private to the trust room: what all our signed documents have in common. They are canonical JSON
// objects with "_type" and "spec_version", read field by field with one set of rules.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "codec/json.h"
#include "crypto/digest.h"

namespace bundle::trust {

// The version that we write. Readers accept any 1.x and ignore members that they do not know: what
// an older reader must not ignore raises the major number.
inline constexpr std::string_view kSpecVersion = "1.0";
inline constexpr unsigned kMajorVersion = 1;

// The number before the first dot of "1.0" or "1.0.34"; nothing for another shape.
std::optional<unsigned> major_version(std::string_view text);

// Throws Error{limit} when `size` bytes are more than `limit`.
void check_size(std::string_view what, std::size_t size, std::size_t limit);

// True for 1 to kMaxNameBytes of [A-Za-z0-9._+-] that start with a letter or digit. Names become
// file names and are compared by people: no slash, no "..", no letter that looks like another.
bool is_name(std::string_view text);

// A JSON object and how to name it in messages. Every reader throws Error{statement_invalid} naming
// the document and the member.
class Fields {
 public:
  Fields(const codec::Json& object, std::string what);

  std::string name(std::string_view key) const;
  // Up to `limit` bytes without control characters; empty when absent.
  std::string text(std::string_view key, std::size_t limit) const;
  std::uint64_t number(std::string_view key, std::uint64_t least) const;  // up to kMaxJsonNumber
  UnixTime time(std::string_view key) const;
  Digest digest(std::string_view key) const;
  bool has(std::string_view key) const { return object_.find(key) != nullptr; }
  Fields object(std::string_view key) const;
  // The objects of an array with at most `limit` entries; none when absent.
  std::vector<Fields> objects(std::string_view key, std::size_t limit) const;
  std::vector<std::string> strings(std::string_view key, std::size_t limit) const;

  [[noreturn]] void fail(std::string_view key, std::string_view problem) const;

 private:
  const codec::Json& member(std::string_view key) const;
  const std::string& string(std::string_view key) const;

  const codec::Json& object_;
  std::string what_;
};

// Parses `json` and checks that it is canonical and of type `type` with a readable spec_version.
// Throws Error{limit} past `max_bytes`, Error{statement_invalid}, Error{unsupported}.
codec::Json parse_document(std::string_view json, std::string_view what, std::string_view type,
                           std::size_t max_bytes);

// An object with "_type" and "spec_version" set.
codec::Json new_document(std::string_view type);

}  // namespace bundle::trust
