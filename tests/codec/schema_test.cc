#include "codec/schema.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "io/file_system.h"

namespace bundle::codec {
namespace {

const Schema& example_schema() {
  static const Schema schema = Schema::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["name"],
    "properties": {
      "name": {"type": "string", "maxLength": 8, "pattern": "^[a-z]+$", "description": "a lower-case word"},
      "color": {"enum": ["red", "green"]},
      "kind": {"const": "Example"},
      "count": {"type": "integer", "minimum": 1},
      "sizes": {"type": "array", "maxItems": 3, "uniqueItems": true, "items": {"type": "integer"}},
      "parts": {"type": "array", "items": {"$ref": "#/definitions/part"}},
      "by-name": {"type": "object", "additionalProperties": {"$ref": "#/definitions/part"}}
    },
    "definitions": {"part": {"type": "object", "additionalProperties": false,
                             "properties": {"path": {"type": "string"}, "mode": {"type": "string"}}}}
  })",
                                             "example");
  return schema;
}

std::vector<Violation> check(std::string_view json) {
  return example_schema().check(parse_json(json, "test", {.max_bytes = 8 << 20, .max_depth = 64}));
}

void expect_violation(std::string_view json, std::string_view pointer, std::string_view message) {
  const auto violations = check(json);
  const bool found = std::ranges::any_of(violations, [&](const Violation& violation) {
    return violation.pointer == pointer && violation.message.find(message) != std::string::npos;
  });
  EXPECT_TRUE(found) << json << "\n" << describe(violations);
}

TEST(Schema, AcceptsWhatFits) {
  EXPECT_TRUE(check(R"({"name":"abc"})").empty());
  EXPECT_TRUE(check(R"({"name":"a","color":"red","kind":"Example","count":1,"sizes":[1,2],
                        "parts":[{"path":"x"}],"by-name":{"x":{"mode":"y"}}})")
                  .empty());
}

TEST(Schema, NamesEveryWrongValue) {
  expect_violation("[]", "", "must be a mapping, and is a list");
  expect_violation("{}", "", "Missing required property 'name'");
  expect_violation(R"({"name":5})", "/name",
                   "must be text, and is a whole number (write it in quotes)");
  expect_violation(R"({"name":1.1})", "/name", "write it in quotes");
  expect_violation(R"({"name":"A1"})", "/name", "\"A1\" is not a lower-case word");
  expect_violation(R"({"name":"a","color":"blue"})", "/color",
                   "\"blue\" is none of [\"red\",\"green\"]");
  expect_violation(R"({"name":"a","kind":"Other"})", "/kind", "\"Other\" must be \"Example\"");
  expect_violation(R"({"name":"a","count":0})", "/count", "");
  expect_violation(R"({"name":"a","count":1.5})", "/count", "must be a whole number");
  expect_violation(R"({"name":"a","sizes":[1,1]})", "/sizes", "");
  expect_violation(R"({"name":"a","sizes":[1,"x"]})", "/sizes/1",
                   "must be a whole number, and is text");
  expect_violation(R"({"name":"a","parts":[{},{"path":7}]})", "/parts/1/path", "must be text");
  expect_violation(R"({"name":"a","by-name":{"q":{"path":7}}})", "/by-name/q/path", "must be text");
}

TEST(Schema, NamesEveryUnknownKeyAndTheLikelyMistake) {
  expect_violation(R"({"name":"a","colour":"red"})", "/colour", "did you mean 'color'?");
  expect_violation(R"({"name":"a","nmae":"b"})", "/nmae", "did you mean 'name'?");
  expect_violation(R"({"name":"a","zzz":1,"qqq":2})", "/zzz", "known here are by-name, color");
  expect_violation(R"({"name":"a","zzz":1,"qqq":2})", "/qqq", "unknown key");
  expect_violation(R"({"name":"a","parts":[{"pth":"x"}]})", "/parts/0/pth", "did you mean 'path'?");
  expect_violation(R"({"name":"a","by-name":{"q":{"mod":"x"}}})", "/by-name/q/mod", "'mode'?");
  expect_violation(R"({"name":"a","a/b":1})", "/a~1b", "unknown key");
}

TEST(Schema, ReportsAllViolationsAtOnce) {
  EXPECT_EQ(check(R"({"color":"blue","count":0,"sizes":["x","y"],"odd":1})").size(), 6U);
}

// What would make std::regex recurse or uniqueItems compare for hours is stopped before.
TEST(Schema, StopsExcessBeforeItIsExamined) {
  const std::string long_name = R"({"name":")" + std::string(2'000'000, 'a') + "\"}";
  expect_violation(long_name, "/name", "2000000 bytes, more than the limit of 8");
  const std::string long_free =
      R"({"name":"a","parts":[{"path":")" + std::string(4097, 'a') + "\"}]}";
  expect_violation(long_free, "/parts/0/path", "more than the limit of 4096");
  std::string many = R"({"name":"a","sizes":[0)";
  for (int i = 1; i < 200'000; ++i) many += "," + std::to_string(i);
  expect_violation(many + "]}", "/sizes", "200000 entries, more than the limit of 3");
  expect_violation("{\"name\":\"a\",\"" + std::string(5000, 'k') + "\":1}", "",
                   "a key of 5000 bytes");
}

TEST(Schema, SurvivesDeepValues) {
  std::string deep = R"({"name":"a","parts":)";
  deep += std::string(40, '[') + std::string(40, ']') + "}";
  EXPECT_FALSE(check(deep).empty());
}

TEST(Schema, RefusesWhatIsNoSchema) {
  EXPECT_THROW(Schema::parse("{", "broken"), Error);
  EXPECT_THROW(Schema::parse(R"({"type": 5})", "broken"), Error);
  EXPECT_THROW(Schema::parse(R"({"properties": []})", "broken"), Error);
  EXPECT_THROW(Schema::builtin("no-such-schema"), Error);
}

TEST(Schema, DescribesTheFirstViolationsOnly) {
  std::vector<Violation> violations;
  for (int i = 0; i < 25; ++i) violations.push_back({"/x", "wrong"});
  const std::string text = describe(violations);
  EXPECT_EQ(std::ranges::count(text, '\n'), 20);
  EXPECT_NE(text.find("and 5 more"), std::string::npos);
  EXPECT_EQ(describe({{"", "whole"}}), "whole");
}

TEST(NearestWord, FindsTypingMistakesAndNothingElse) {
  const std::vector<std::string> words{"images", "files", "platforms", "os", "k8s"};
  EXPECT_EQ(nearest_word("image", words), "images");
  EXPECT_EQ(nearest_word("imgaes", words), "images");
  EXPECT_EQ(nearest_word("plattforms", words), "platforms");
  EXPECT_EQ(nearest_word("file", words), "files");
  EXPECT_EQ(nearest_word("so", words), "os");
  EXPECT_EQ(nearest_word("k3s", words), "k8s");
  EXPECT_EQ(nearest_word("completely", words), "");
  EXPECT_EQ(nearest_word(std::string(100'000, 'x'), words), "");
  EXPECT_EQ(nearest_word("", words), "");
}

// Each embedded schema comes with examples: tests/data/schemas/<name>/{valid,invalid}/*.json.
class BuiltinSchemas : public testing::TestWithParam<std::string_view> {
 protected:
  static std::vector<Path> examples(std::string_view name, std::string_view kind) {
    const Path folder = Path(BUNDLE_TEST_DATA) / "schemas" / name / kind;
    std::vector<Path> files;
    for (const std::string& file : posix_file_system().list(folder)) files.push_back(folder / file);
    return files;
  }
  static std::vector<Violation> check_file(std::string_view name, const Path& path) {
    const std::string text = read_text_file(posix_file_system(), path, 1 << 20);
    return Schema::builtin(name).check(parse_json(text, path.string()));
  }
};

TEST_P(BuiltinSchemas, AcceptsItsValidExamples) {
  const auto files = examples(GetParam(), "valid");
  EXPECT_GE(files.size(), 1U);
  for (const Path& file : files) {
    const auto violations = check_file(GetParam(), file);
    EXPECT_TRUE(violations.empty()) << file << "\n" << describe(violations);
  }
}

TEST_P(BuiltinSchemas, RefusesItsInvalidExamples) {
  const auto files = examples(GetParam(), "invalid");
  EXPECT_GE(files.size(), 4U);
  for (const Path& file : files) EXPECT_FALSE(check_file(GetParam(), file).empty()) << file;
}

INSTANTIATE_TEST_SUITE_P(All, BuiltinSchemas, testing::ValuesIn(builtin_schema_names()),
                         [](const auto& instance) {
                           std::string name(instance.param);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bundle::codec
