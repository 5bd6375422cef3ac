// JSON Schema draft-07 (by valijson) over the JSON value model.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"

namespace bundle::codec {

// One way in which a value breaks a schema.
struct Violation {
  std::string pointer;  // JSON pointer (RFC 6901) to the value, for an unknown key to that key
  std::string message;  // "unknown key 'imges': did you mean 'images'?"
};

// A compiled schema. Immutable; check() is thread-safe. Cheap to copy.
//
// Messages are made for people and come from the schema: where it has a "description", a wrong
// value's message quotes it. Schemas may use "$ref" to "#/definitions/..." and nothing remote.
class Schema {
 public:
  // Throws Error{json_invalid} or Error{internal}: not a draft-07 schema. `what` names the text.
  static Schema parse(std::string_view text, std::string_view what);
  // schemas/<name>.schema.json as embedded at build time. Throws Error{internal}: no such schema.
  static const Schema& builtin(std::string_view name);

  // All violations in the order of the document's keys, unknown keys first; empty when valid.
  // Texts above maxLength and lists above maxItems (by default the two limits below) are reported
  // alone, before anything else looks at them.
  // Peak memory: about three times the value's own.
  std::vector<Violation> check(const Json& value) const;

  static constexpr std::size_t kMaxStringLength = 4096;  // bytes
  static constexpr std::size_t kMaxItems = 100'000;

 private:
  struct State;
  explicit Schema(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// "at /images/0/digest: ..." of the first violations, one a line, for an error message.
std::string describe(const std::vector<Violation>& violations);

// Names of the embedded schemas, sorted.
std::vector<std::string_view> builtin_schema_names();

// The candidate nearest to `word` when it is near enough to be a typing mistake, else empty.
std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace bundle::codec
