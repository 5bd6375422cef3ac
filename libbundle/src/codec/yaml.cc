#include "codec/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>
#include <utility>

#include "codec/json_pointer.h"
#include "codec/utf8.h"

namespace bundle::codec {
namespace {

constexpr std::string_view kLimitHint = "Shrink the file, or check that it is the right one.";

constexpr std::string_view kHint =
    "Correct the file at the named line. Indent with spaces, and quote a value that YAML would "
    "take for something else.";

// What yaml-cpp calls the tag of a plain scalar and of a quoted one.
constexpr std::string_view kPlainTag = "?";
constexpr std::string_view kQuotedTag = "!";

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return text;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool is_core_float(std::string_view text) {
  text = without_sign(text);
  if (const auto e = text.find_first_of("eE"); e != std::string_view::npos) {
    if (!is_digits(without_sign(text.substr(e + 1)))) return false;
    text = text.substr(0, e);
  }
  const auto dot = text.find('.');
  if (dot == std::string_view::npos) return is_digits(text);
  const std::string_view whole = text.substr(0, dot);
  const std::string_view fraction = text.substr(dot + 1);
  if (whole.empty()) return is_digits(fraction);
  return is_digits(whole) && (fraction.empty() || is_digits(fraction));
}

bool is_not_finite(std::string_view text) {
  const std::string_view word = without_sign(text);
  return word == ".inf" || word == ".Inf" || word == ".INF" || text == ".nan" || text == ".NaN" ||
         text == ".NAN";
}

std::optional<Json> to_integer(std::string_view digits, int base, bool negative) {
  std::int64_t value = 0;
  const std::string text = (negative ? "-" : "") + std::string(digits);
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return Json(value);
}

std::optional<Json> to_double(std::string_view text) {
  if (text[0] == '+') text.remove_prefix(1);
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return Json(value);
}

// Core schema, section 10.3.2; null is resolved by the parser. Nothing when the number has no
// place in the value model.
std::optional<Json> resolve_plain(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return Json(true);
  if (text == "false" || text == "False" || text == "FALSE") return Json(false);
  if (is_not_finite(text)) return std::nullopt;
  if (is_digits(without_sign(text))) return to_integer(without_sign(text), 10, text[0] == '-');
  if (text.starts_with("0o") && text.size() > 2 &&
      text.find_first_not_of("01234567", 2) == std::string_view::npos) {
    return to_integer(text.substr(2), 8, false);
  }
  if (text.starts_with("0x") && text.size() > 2 &&
      text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos) {
    return to_integer(text.substr(2), 16, false);
  }
  if (is_core_float(text)) return to_double(text);
  return Json(text);
}

}  // namespace

// Builds the value and the places from yaml-cpp's events. Duplicate keys, aliases, tags and depth
// are judged here, because yaml-cpp's ready-made tree has already lost or expanded them. The
// parser recurses once per container, so the depth limit here bounds its stack, too.
class YamlBuilder final : public YAML::EventHandler {
 public:
  // `lines_before`: of a file of which only a part is read.
  YamlBuilder(std::string_view file, ErrorCode malformed, const YamlLimits& limits,
              std::size_t lines_before)
      : malformed_(malformed), limits_(limits), lines_before_(lines_before) {
    document_.file_ = file;
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    if (expects_key()) fail(mark, "a key is missing here");
    add(mark, Json());
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fail(mark, "aliases (*name) are not accepted: write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (expects_key()) return set_key(mark, text);
    if (tag != kPlainTag) return add(mark, Json(text));
    std::optional<Json> value = resolve_plain(text);
    if (!value) fail(mark, fmt::format("the number {} is out of range", text.substr(0, 40)));
    add(mark, *std::move(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Json::object());
  }
  void OnMapEnd() override { close(); }

  [[noreturn]] void fail(const YAML::Mark& mark, std::string_view reason) const {
    const SourcePosition at = to_position(mark);
    throw Error(malformed_,
                fmt::format("{}:{}:{}: {}", document_.file_, at.line, at.column, reason),
                std::string(kHint));
  }

  YamlDocument take() { return std::move(document_); }

 private:
  using Place = YamlDocument::Place;
  // A container that is still being filled.
  struct Frame {
    Json value;
    Place place;
    std::optional<std::string> key;  // read and waiting for its value
    SourcePosition key_position;
  };

  SourcePosition to_position(const YAML::Mark& mark) const {
    // A null mark has -1 in both; the first line is then as good as any.
    return {lines_before_ + static_cast<std::size_t>(mark.line + 1 > 0 ? mark.line + 1 : 1),
            static_cast<std::size_t>(mark.column + 1 > 0 ? mark.column + 1 : 1)};
  }

  bool expects_key() const {
    return !stack_.empty() && stack_.back().value.is_object() && !stack_.back().key;
  }

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != YAML::NullAnchor) fail(mark, "anchors (&name) are not accepted");
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (!tag.empty() && tag != kPlainTag && tag != kQuotedTag) {
      fail(mark, "tags (!name) are not accepted");
    }
  }

  void set_key(const YAML::Mark& mark, const std::string& key) {
    Frame& top = stack_.back();
    if (const auto earlier = top.place.members.find(key); earlier != top.place.members.end()) {
      fail(mark, fmt::format("the key '{}' was already given in line {}", key.substr(0, 100),
                             earlier->second.position.line));
    }
    top.key = key;
    top.key_position = to_position(mark);
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Json container) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (expects_key()) fail(mark, "a key must be plain text");
    if (stack_.size() >= limits_.max_depth) {
      throw Error(ErrorCode::limit,
                  fmt::format("{}:{}: nested deeper than {} levels", document_.file_,
                              to_position(mark).line, limits_.max_depth),
                  std::string(kLimitHint));
    }
    count_node(mark);
    stack_.push_back({std::move(container), Place{to_position(mark), {}, {}}, {}, {}});
  }

  void close() {
    Frame done = std::move(stack_.back());
    stack_.pop_back();
    attach(std::move(done.value), std::move(done.place));
  }

  void add(const YAML::Mark& mark, Json value) {
    count_node(mark);
    attach(std::move(value), Place{to_position(mark), {}, {}});
  }

  void attach(Json value, Place place) {
    if (stack_.empty()) {
      document_.root_ = std::move(value);
      document_.place_ = std::move(place);
      return;
    }
    Frame& top = stack_.back();
    if (top.value.is_array()) {
      top.value.push_back(std::move(value));
      top.place.items.push_back(std::move(place));
      return;
    }
    place.position = top.key_position;
    top.place.members.emplace(*top.key, std::move(place));
    top.value.set(*std::exchange(top.key, std::nullopt), std::move(value));
  }

  void count_node(const YAML::Mark& mark) {
    if (++nodes_ > limits_.max_nodes) {
      throw Error(ErrorCode::limit,
                  fmt::format("{}:{}: more than {} values", document_.file_, to_position(mark).line,
                              limits_.max_nodes),
                  std::string(kLimitHint));
    }
  }

  ErrorCode malformed_;
  YamlLimits limits_;
  std::size_t lines_before_ = 0;
  std::size_t nodes_ = 0;
  std::vector<Frame> stack_;
  YamlDocument document_;
};

SourcePosition YamlDocument::position(std::string_view pointer) const {
  const Place* place = &place_;
  for (const std::string& token : pointer_tokens(pointer)) {
    if (const auto member = place->members.find(token); member != place->members.end()) {
      place = &member->second;
      continue;
    }
    const std::optional<std::size_t> index = pointer_index(token);
    if (!index || *index >= place->items.size()) break;
    place = &place->items[*index];
  }
  return place->position;
}

std::string YamlDocument::where(std::string_view pointer) const {
  const SourcePosition at = position(pointer);
  return fmt::format("{}:{}:{}", file_, at.line, at.column);
}

namespace {

// yaml-cpp guesses encodings and mends what is malformed; only clean UTF-8 text gets that far.
void require_plain_text(std::string_view text, std::string_view file, ErrorCode malformed) {
  const auto is_control = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t';
  };
  std::size_t line = 1;
  for (const char c : text) {
    if (is_control(c)) {
      throw Error(malformed, fmt::format("{}:{}: a control character", file, line),
                  std::string(kHint));
    }
    if (c == '\n') ++line;
  }
  if (const auto bad = find_invalid_utf8(text)) {
    throw Error(malformed, fmt::format("{}: byte {} is not UTF-8 text", file, *bad),
                "Save the file as UTF-8.");
  }
}

void require_readable(std::string_view text, std::string_view file, ErrorCode malformed,
                      const YamlLimits& limits) {
  if (text.size() > limits.max_bytes) {
    throw Error(ErrorCode::limit,
                fmt::format("{} has {} bytes, more than the limit of {}", file, text.size(),
                            limits.max_bytes),
                std::string(kLimitHint));
  }
  require_plain_text(text, file, malformed);
}

// One document; its value is null when there is nothing in it.
YamlDocument parse_document(std::string_view text, std::string_view file, ErrorCode malformed,
                            const YamlLimits& limits, std::size_t lines_before) {
  YamlBuilder builder(file, malformed, limits, lines_before);
  try {
    // yaml-cpp takes the end of the file for a closing quote, but not the end of a document.
    const std::string_view ending = text.ends_with('\n') ? "...\n" : "\n...\n";
    std::istringstream stream(std::string(text).append(ending));
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    YamlBuilder second(file, malformed, limits, lines_before);
    if (parser.HandleNextDocument(second)) {
      throw Error(malformed, fmt::format("{}: a second YAML document (after '---')", file),
                  "Keep one document in the file.");
    }
    return builder.take();
  } catch (const YAML::Exception& failure) {
    builder.fail(failure.mark, fmt::format("malformed YAML: {}", failure.msg));
  }
}

// "---" in the first column begins a document, whatever stands around it (YAML 1.2, 9.1.2).
bool is_document_start(std::string_view line) {
  return line.starts_with("---") && (line.size() == 3 || line.find_first_of(" \t\r\n") == 3);
}

}  // namespace

YamlDocument parse_yaml(std::string_view text, std::string_view file, ErrorCode malformed,
                        const YamlLimits& limits) {
  require_readable(text, file, malformed, limits);
  YamlDocument document = parse_document(text, file, malformed, limits, 0);
  if (document.root().is_null()) {
    throw Error(malformed, fmt::format("{}: the file is empty", file), std::string(kHint));
  }
  return document;
}

std::vector<YamlDocument> parse_yaml_stream(std::string_view text, std::string_view file,
                                            ErrorCode malformed, const YamlLimits& limits) {
  require_readable(text, file, malformed, limits);
  std::vector<YamlDocument> documents;
  std::size_t lines_before = 0;
  while (!text.empty()) {
    std::size_t size = 0;
    std::size_t lines = 0;
    do {  // a line at a time, up to the next marker
      size = std::min(text.find('\n', size), text.size() - 1) + 1;
      ++lines;
    } while (size < text.size() && !is_document_start(text.substr(size)));
    YamlDocument document =
        parse_document(text.substr(0, size), file, malformed, limits, lines_before);
    if (!document.root().is_null()) documents.push_back(std::move(document));
    text.remove_prefix(size);
    lines_before += lines;
  }
  return documents;
}

}  // namespace bundle::codec
