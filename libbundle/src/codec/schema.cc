#include "codec/schema.h"

// Without it valijson ends the process where it would throw.
#define VALIJSON_USE_EXCEPTIONS 1

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "codec/builtin_schemas.h"
#include "codec/json_nlohmann.h"
#include "codec/json_pointer.h"

namespace bundle::codec {

struct Schema::State {
  Json document;              // for messages: names, descriptions, enumerations
  valijson::Schema compiled;  // for the verdict
};

namespace {

// A "$ref" that leads to a "$ref" and so on; our schemas use one step.
constexpr int kMaxReferences = 8;
constexpr std::size_t kMaxDescribed = 20;  // violations in one error message
constexpr std::size_t kMaxQuoted = 60;     // bytes of a wrong value in a message

const Json* follow_references(const Json& root, const Json* schema) {
  for (int i = 0; schema != nullptr && i < kMaxReferences; ++i) {
    const Json* reference = schema->find("$ref");
    if (reference == nullptr) return schema;
    schema = value_at(root, reference->as_string().substr(1));  // "#/definitions/x"
  }
  return schema;
}

// The part of the schema that speaks about one member or item; nullptr when there is none.
const Json* child_schema(const Json& root, const Json* schema, const std::string& token) {
  if (schema == nullptr) return nullptr;
  const Json* properties = schema->find("properties");
  if (const Json* property = properties == nullptr ? nullptr : properties->find(token)) {
    return follow_references(root, property);
  }
  if (const Json* items = schema->find("items")) return follow_references(root, items);
  const Json* others = schema->find("additionalProperties");
  return others != nullptr && others->is_object() ? follow_references(root, others) : nullptr;
}

const Json* schema_at(const Json& root, std::string_view pointer) {
  const Json* schema = follow_references(root, &root);
  for (const std::string& token : pointer_tokens(pointer)) {
    schema = child_schema(root, schema, token);
  }
  return schema;
}

std::vector<std::string> known_keys(const Json& schema) {
  std::vector<std::string> names;
  if (const Json* properties = schema.find("properties")) {
    for (const auto& [name, unused] : properties->as_object()) names.push_back(name);
  }
  return names;
}

bool is_closed(const Json& schema) {
  const Json* others = schema.find("additionalProperties");
  return others != nullptr && others->is_bool() && !others->as_bool();
}

std::string unknown_key_message(const std::string& key, const std::vector<std::string>& known) {
  const std::string shown = key.substr(0, kMaxQuoted);
  if (const std::string nearest = nearest_word(key, known); !nearest.empty()) {
    return fmt::format("unknown key '{}': did you mean '{}'?", shown, nearest);
  }
  return fmt::format("unknown key '{}': known here are {}", shown, fmt::join(known, ", "));
}

// valijson reports one unknown key of an object, without its place; people want all of them with
// theirs. Depth is bounded by the value's, which its parser limits.
void find_unknown_keys(const Json& root, const Json* schema, const Json& value,
                       const std::string& pointer, std::vector<Violation>& out) {
  if (schema == nullptr) return;
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.as_array().size(); ++i) {
      find_unknown_keys(root, child_schema(root, schema, std::to_string(i)), value.as_array()[i],
                        pointer_append(pointer, i), out);
    }
    return;
  }
  if (!value.is_object()) return;
  const std::vector<std::string> known = known_keys(*schema);
  for (const auto& [key, member] : value.as_object()) {
    const std::string at = pointer_append(pointer, std::string_view(key));
    if (is_closed(*schema) && !std::ranges::binary_search(known, key)) {
      out.push_back({at, unknown_key_message(key, known)});
    } else {
      find_unknown_keys(root, child_schema(root, schema, key), member, at, out);
    }
  }
}

std::uint64_t limit_of(const Json* schema, std::string_view name, std::uint64_t otherwise) {
  const Json* limit = schema == nullptr ? nullptr : schema->find(name);
  return limit == nullptr ? otherwise : std::min(limit->as_size(), otherwise);
}

// What valijson must not get to see: std::regex recurses once per character and uniqueItems
// compares every pair, so the schema's own maxLength and maxItems have to hold before it starts.
void find_excess(const Json& root, const Json* schema, const Json& value,
                 const std::string& pointer, std::vector<Violation>& out) {
  const std::uint64_t longest = limit_of(schema, "maxLength", Schema::kMaxStringLength);
  if (value.is_string() && value.as_string().size() > longest) {
    out.push_back({pointer, fmt::format("a text of {} bytes, more than the limit of {}",
                                        value.as_string().size(), longest)});
  } else if (value.is_array()) {
    const Json::Array& items = value.as_array();
    const std::uint64_t most = limit_of(schema, "maxItems", Schema::kMaxItems);
    if (items.size() > most) {
      out.push_back({pointer, fmt::format("a list of {} entries, more than the limit of {}",
                                          items.size(), most)});
      return;
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      find_excess(root, child_schema(root, schema, std::to_string(i)), items[i],
                  pointer_append(pointer, i), out);
    }
  } else if (value.is_object()) {
    for (const auto& [key, member] : value.as_object()) {
      if (key.size() > Schema::kMaxStringLength) {
        out.push_back({pointer, fmt::format("a key of {} bytes", key.size())});
      } else {
        find_excess(root, child_schema(root, schema, key), member,
                    pointer_append(pointer, std::string_view(key)), out);
      }
    }
  }
}

std::string_view type_name(const Json& value) {
  if (value.is_bool()) return "true or false";
  if (value.is_int()) return "a whole number";
  if (value.is_double()) return "a number";
  if (value.is_string()) return "text";
  if (value.is_array()) return "a list";
  if (value.is_object()) return "a mapping";
  return "nothing";
}

std::string_view wanted_type(const std::string& type) {
  if (type == "string") return "text";
  if (type == "integer") return "a whole number";
  if (type == "number") return "a number";
  if (type == "boolean") return "true or false";
  if (type == "array") return "a list";
  if (type == "object") return "a mapping";
  return type;
}

std::string wrong_type_message(const Json& schema, const Json& value) {
  const Json* type = schema.find("type");
  if (type == nullptr || !type->is_string()) return "has the wrong type";
  std::string message =
      fmt::format("must be {}, and is {}", wanted_type(type->as_string()), type_name(value));
  if (type->as_string() == "string" && (value.is_int() || value.is_double())) {
    message += " (write it in quotes)";
  }
  return message;
}

std::string quoted(const Json& value) {
  std::string text = dump_json(value);
  if (text.size() > kMaxQuoted) text = text.substr(0, kMaxQuoted) + "...";
  return text;
}

// valijson's words made into ours where the schema lets us say more.
std::string explain(const std::string& reason, const Json* schema, const Json* value) {
  if (schema == nullptr || value == nullptr) return reason;
  if (reason.find("'type' constraint") != std::string::npos) {
    return wrong_type_message(*schema, *value);
  }
  if (const Json* allowed = schema->find("enum");
      allowed && reason.find("enum") != std::string::npos) {
    return fmt::format("{} is none of {}", quoted(*value), dump_json(*allowed));
  }
  if (const Json* wanted = schema->find("const");
      wanted && reason.find("const") != std::string::npos) {
    return fmt::format("{} must be {}", quoted(*value), dump_json(*wanted));
  }
  if (const Json* description = schema->find("description");
      description && !value->is_object() && !value->is_array()) {
    return fmt::format("{} is not {}", quoted(*value), description->as_string());
  }
  return reason;
}

// "Failed to validate ..." repeats, one level up, what was said below; unknown keys are ours.
bool is_repetition(const std::string& reason) {
  return reason.starts_with("Failed to validate") ||
         reason.starts_with("Object contains a property that could not be validated");
}

// valijson's context is "<root>", "[key]", "[0]"...
std::string to_pointer(const std::vector<std::string>& context) {
  std::string pointer;
  for (std::size_t i = 1; i < context.size(); ++i) {
    std::string_view token = context[i];
    if (token.size() >= 2 && token.front() == '[' && token.back() == ']') {
      token = token.substr(1, token.size() - 2);
    }
    pointer = pointer_append(pointer, token);
  }
  return pointer;
}

bool is_valid(const valijson::Schema& schema, const Json& value,
              valijson::ValidationResults& results) {
  try {
    const nlohmann::json target = to_nlohmann(value);
    valijson::Validator validator;
    return validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(target), &results);
  } catch (const std::exception& failure) {
    throw Error(ErrorCode::json_invalid,
                fmt::format("the document could not be checked: {}", failure.what()));
  }
}

}  // namespace

Schema Schema::parse(std::string_view text, std::string_view what) {
  auto state = std::make_shared<State>();
  state->document = parse_json(text, what);
  try {
    const nlohmann::json document = to_nlohmann(state->document);
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(document), state->compiled);
  } catch (const std::exception& failure) {
    throw Error(ErrorCode::internal, fmt::format("{} is no JSON schema: {}", what, failure.what()));
  }
  return Schema(std::move(state));
}

const Schema& Schema::builtin(std::string_view name) {
  static const std::map<std::string, Schema, std::less<>> schemas = [] {
    std::map<std::string, Schema, std::less<>> all;
    for (const BuiltinSchema& schema : builtin_schemas()) {
      all.emplace(schema.name, parse(schema.text, schema.name));
    }
    return all;
  }();
  const auto found = schemas.find(name);
  if (found == schemas.end()) {
    throw Error(ErrorCode::internal, fmt::format("there is no schema '{}'", name));
  }
  return found->second;
}

std::vector<Violation> Schema::check(const Json& value) const {
  std::vector<Violation> violations;
  const Json& root = state_->document;
  const Json* top = follow_references(root, &root);
  find_excess(root, top, value, "", violations);
  if (!violations.empty()) return violations;

  find_unknown_keys(root, top, value, "", violations);
  valijson::ValidationResults results;
  if (is_valid(state_->compiled, value, results)) return violations;
  for (const auto& result : results) {
    if (is_repetition(result.description)) continue;
    const std::string pointer = to_pointer(result.context);
    violations.push_back(
        {pointer, explain(result.description, schema_at(root, pointer), value_at(value, pointer))});
  }
  if (violations.empty()) violations.push_back({"", "does not match the schema"});
  return violations;
}

std::string describe(const std::vector<Violation>& violations) {
  std::string out;
  for (std::size_t i = 0; i < violations.size() && i < kMaxDescribed; ++i) {
    const Violation& violation = violations[i];
    if (i > 0) out.push_back('\n');
    out += violation.pointer.empty()
               ? violation.message
               : fmt::format("at {}: {}", violation.pointer.substr(0, 200), violation.message);
  }
  if (violations.size() > kMaxDescribed) {
    out += fmt::format("\nand {} more", violations.size() - kMaxDescribed);
  }
  return out;
}

std::vector<std::string_view> builtin_schema_names() {
  std::vector<std::string_view> names;
  for (const BuiltinSchema& schema : builtin_schemas()) names.push_back(schema.name);
  std::ranges::sort(names);
  return names;
}

namespace {

// Edits that turn one word into the other: insert, delete, replace, swap neighbours (optimal string
// alignment), by three rows of the matrix.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> before(to.size() + 1);
  std::vector<std::size_t> last(to.size() + 1);
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= from.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last.back();
}

}  // namespace

// Near: a third of the word or less, and at most three characters, must change.
std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kMaxWord = 64;
  if (word.size() > kMaxWord) return {};
  std::string best;
  std::size_t bound = std::clamp<std::size_t>(word.size() / 3, 1, 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= bound) continue;
    bound = distance;
    best = candidate;
  }
  return best;
}

}  // namespace bundle::codec
