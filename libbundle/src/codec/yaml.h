// YAML behind one adapter: a strict subset, read into the JSON value model, with the place of every
// value for messages.
//
// The subset: YAML 1.2 with its core schema (section 10.3.2) and nothing that JSON could not say.
// One document; keys are strings and unique; no anchors, aliases or tags; no .inf and .nan.
// So 1.10 is a number and "1.10" a string, yes and no are strings, and nothing expands.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"

namespace bundle::codec {

// Counted from 1.
struct SourcePosition {
  std::size_t line = 1;
  std::size_t column = 1;
};

// YAML files here are written by hand.
struct YamlLimits {
  std::size_t max_bytes = 1024 * 1024;
  std::size_t max_depth = 32;
  std::size_t max_nodes = 100'000;
};

// A parsed file. Immutable; const calls are thread-safe.
class YamlDocument {
 public:
  const Json& root() const { return root_; }
  const std::string& file() const { return file_; }

  // Where the value that a JSON pointer (RFC 6901) names was written: its key in a mapping, its
  // first character in a sequence. A pointer to nothing gives the nearest ancestor's position.
  SourcePosition position(std::string_view pointer) const;
  // "release.yaml:12:3"
  std::string where(std::string_view pointer) const;

 private:
  friend class YamlBuilder;
  struct Place {
    SourcePosition position;
    std::map<std::string, Place, std::less<>> members;
    std::vector<Place> items;
  };

  std::string file_;
  Json root_;
  Place place_;
};

// Throws Error{`malformed`} (spec_invalid or config_invalid, as the caller's file is one or the
// other) with file:line:column, or Error{limit}. `file` names the text in messages.
// Peak memory: about twenty times the text.
YamlDocument parse_yaml(std::string_view text, std::string_view file, ErrorCode malformed,
                        const YamlLimits& limits = {});

// The same for a stream of documents separated by "---", as kubectl takes them; empty ones are left
// out. Positions are those in the whole text; the limits are for all of it.
std::vector<YamlDocument> parse_yaml_stream(std::string_view text, std::string_view file,
                                            ErrorCode malformed, const YamlLimits& limits = {});

}  // namespace bundle::codec
