#include "codec/yaml.h"

#include <gtest/gtest.h>

#include "codec/json_pointer.h"
#include "codec/utf8.h"

namespace bundle::codec {
namespace {

YamlDocument parse(std::string_view text, const YamlLimits& limits = {}) {
  return parse_yaml(text, "test.yaml", ErrorCode::spec_invalid, limits);
}

std::string as_json(std::string_view text) {
  return dump_json(parse(text).root());
}

struct Failure {
  ErrorCode code;
  std::string message;
};

Failure failure_of(std::string_view text, const YamlLimits& limits = {}) {
  try {
    const YamlDocument document = parse(text, limits);
    ADD_FAILURE() << "accepted: " << text << " as " << dump_json(document.root());
  } catch (const Error& error) {
    EXPECT_TRUE(error.message().starts_with("test.yaml")) << error.message();
    return {error.code(), error.message()};
  }
  return {ErrorCode::internal, ""};
}

// Every malformed text ends with spec_invalid and the place where it went wrong.
void expect_invalid(std::string_view text, std::string_view place, std::string_view reason) {
  const Failure failure = failure_of(text);
  EXPECT_EQ(failure.code, ErrorCode::spec_invalid) << text;
  EXPECT_TRUE(failure.message.starts_with(std::string("test.yaml:") + std::string(place)))
      << text << "\n"
      << failure.message;
  EXPECT_NE(failure.message.find(reason), std::string::npos) << text << "\n" << failure.message;
}

TEST(Yaml, ResolvesPlainScalarsByTheCoreSchema) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a: null", R"({"a":null})"},
      {"a: ~", R"({"a":null})"},
      {"a:", R"({"a":null})"},
      {"a: Null", R"({"a":null})"},
      {"a: true", R"({"a":true})"},
      {"a: TRUE", R"({"a":true})"},
      {"a: False", R"({"a":false})"},
      {"a: 12", R"({"a":12})"},
      {"a: -12", R"({"a":-12})"},
      {"a: +12", R"({"a":12})"},
      {"a: 0o17", R"({"a":15})"},
      {"a: 0x1F", R"({"a":31})"},
      {"a: 007", R"({"a":7})"},
      {"a: 1.10", R"({"a":1.1})"},
      {"a: 1.", R"({"a":1.0})"},
      {"a: .5", R"({"a":0.5})"},
      {"a: -1e3", R"({"a":-1000.0})"},
      {"a: +1.5", R"({"a":1.5})"},
      {"a: 1.4.0", R"({"a":"1.4.0"})"},
      {"a: yes", R"({"a":"yes"})"},
      {"a: off", R"({"a":"off"})"},
      {"a: tRUE", R"({"a":"tRUE"})"},
      {"a: 1_000", R"({"a":"1_000"})"},
      {"a: 12:30:45", R"({"a":"12:30:45"})"},
      {"a: 0b11", R"({"a":"0b11"})"},
      {"a: 0x", R"({"a":"0x"})"},
      {"a: 2026-11-23", R"({"a":"2026-11-23"})"},
      {"a:\n-", R"({"a":[null]})"},
      {"a: e5", R"({"a":"e5"})"},
      {"a: 1e", R"({"a":"1e"})"},
      {"a: +", R"({"a":"+"})"},
      {"a: .", R"({"a":"."})"},
  };
  for (const auto& [yaml, json] : cases) EXPECT_EQ(as_json(yaml), json) << yaml;
}

TEST(Yaml, KeepsQuotedAndBlockScalarsAsText) {
  EXPECT_EQ(as_json(R"(a: "1.10")"), R"({"a":"1.10"})");
  EXPECT_EQ(as_json("a: '1.10'"), R"({"a":"1.10"})");
  EXPECT_EQ(as_json("a: \"true\""), R"({"a":"true"})");
  EXPECT_EQ(as_json("a: 'null'"), R"({"a":"null"})");
  EXPECT_EQ(as_json("a: \"\""), R"({"a":""})");
  EXPECT_EQ(as_json("a: |\n  12\n"), R"({"a":"12\n"})");
  EXPECT_EQ(as_json("a: >-\n  1\n  2\n"), R"({"a":"1 2"})");
  EXPECT_EQ(as_json("a: \"\\u00e9\""), "{\"a\":\"\xC3\xA9\"}");
  EXPECT_EQ(as_json("a: |+\n  x\n\n"), R"({"a":"x\n\n"})");
  EXPECT_EQ(as_json("a: |-\n  x\n\n"), R"({"a":"x"})");
  EXPECT_EQ(as_json("a: x\n...\n"), R"({"a":"x"})");
}

TEST(Yaml, ReadsCollectionsInBothStyles) {
  EXPECT_EQ(as_json("a: {b: [1, 'x', {c: d}], e: {}}\nf:\n- 1\n- g: h\n  i: []\n"),
            R"({"a":{"b":[1,"x",{"c":"d"}],"e":{}},"f":[1,{"g":"h","i":[]}]})");
  EXPECT_EQ(as_json("# a comment\n---\n1: x # not a number\ntrue: y\n..."),
            R"({"1":"x","true":"y"})");
  EXPECT_EQ(as_json("\xEF\xBB\xBF"
                    "a: 1\r\nb: 2\r\n"),
            R"({"a":1,"b":2})");
}

TEST(Yaml, KnowsWhereEveryValueWasWritten) {
  const YamlDocument document = parse(
      "product: x\n"
      "images:\n"
      "  - name: a\n"
      "    source: b\n"
      "  - {name: c,\n"
      "     source: d}\n"
      "\"a/b~c\": 1\n");
  EXPECT_EQ(document.where(""), "test.yaml:1:1");
  EXPECT_EQ(document.where("/product"), "test.yaml:1:1");
  EXPECT_EQ(document.where("/images"), "test.yaml:2:1");
  EXPECT_EQ(document.where("/images/0"), "test.yaml:3:5");
  EXPECT_EQ(document.where("/images/0/source"), "test.yaml:4:5");
  EXPECT_EQ(document.where("/images/1/name"), "test.yaml:5:6");
  EXPECT_EQ(document.where("/images/1/source"), "test.yaml:6:6");
  EXPECT_EQ(document.where("/a~1b~0c"), "test.yaml:7:1");
}

TEST(Yaml, GivesTheNearestAncestorForWhatIsNotThere) {
  const YamlDocument document = parse("a:\n  b:\n  - 1\n");
  EXPECT_EQ(document.where("/a/b/7/x"), "test.yaml:2:3");
  EXPECT_EQ(document.where("/a/b/x"), "test.yaml:2:3");
  EXPECT_EQ(document.where("/a/zz"), "test.yaml:1:1");
  EXPECT_EQ(document.where("nonsense"), "test.yaml:1:1");
  EXPECT_EQ(document.where("/a/b/18446744073709551616"), "test.yaml:2:3");
}

TEST(Yaml, RefusesDuplicateKeysNamingBothLines) {
  expect_invalid("a: 1\nb: 2\na: 3\n", "3:1", "already given in line 1");
  expect_invalid("x:\n  - k: 1\n    k: 2\n", "3:5", "already given in line 2");
  expect_invalid("{a: 1, \"a\": 2}", "1:8", "already given");
  expect_invalid("a: 1\na: [unclosed", "2:1", "already given");
}

TEST(Yaml, RefusesAnchorsAliasesAndTags) {
  expect_invalid("a: &x 1\n", "1:4", "anchors");
  expect_invalid("a: &x [1]\n", "1:4", "anchors");
  expect_invalid("a: &x {b: 1}\n", "1:4", "anchors");
  expect_invalid("a: &x\n", "1:4", "anchors");
  expect_invalid("&x a: 1\n", "1:1", "anchors");
  expect_invalid("a: 1\nb: *x\n", "2:4", "");
  expect_invalid("a: !!str 1\n", "1:4", "tags");
  expect_invalid("a: !thing {b: 1}\n", "1:4", "tags");
  expect_invalid("a: !!python/object/apply:os.system [ls]\n", "1:4", "tags");
}

TEST(Yaml, RefusesTheBillionLaughs) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + ", " + before +
            ", " + before + "]\n";
  }
  EXPECT_EQ(failure_of(bomb).code, ErrorCode::spec_invalid);
}

TEST(Yaml, RefusesWhatJsonCouldNotSay) {
  expect_invalid("a: .inf\n", "1:4", "out of range");
  expect_invalid("a: -.Inf\n", "1:4", "out of range");
  expect_invalid("a: .nan\n", "1:4", "out of range");
  expect_invalid("a: 9223372036854775808\n", "1:4", "out of range");
  expect_invalid("a: 0xFFFFFFFFFFFFFFFFF\n", "1:4", "out of range");
  expect_invalid("a: 1e999\n", "1:4", "out of range");
  expect_invalid("? [a, b]\n: 1\n", "1:3", "key must be plain text");
  expect_invalid("? {a: b}\n: 1\n", "1:3", "key must be plain text");
  expect_invalid("null: 1\n", "1:1", "key is missing");
  expect_invalid("{: 1}\n", "1:", "key is missing");
}

TEST(Yaml, RefusesMalformedText) {
  const std::string_view cases[] = {
      "a: [1, 2\n",     "a: {b: 1\n",   "a: \"open\n", "a: 'open\n", "a:\n\t- 1\n",
      "a: 1\n  b: 2\n", "- 1\nb: 2\n",  "a: b: c\n",   "a: @x\n",    "a: `x`\n",
      "a: \"open",      "a: 'open\n\n", "a: [\"x]\n",  "a: ]\n",     "%YAML 9.9\n---\na: 1\n",
      "a: \"\\q\"\n",
  };
  for (const std::string_view text : cases) {
    const Failure failure = failure_of(text);
    EXPECT_EQ(failure.code, ErrorCode::spec_invalid) << text;
  }
}

TEST(Yaml, RefusesMoreOrLessThanOneDocument) {
  expect_invalid("a: 1\n---\nb: 2\n", " a second", "second YAML document");
  expect_invalid("", " the file is empty", "empty");
  expect_invalid("---\n", " the file is empty", "empty");
  expect_invalid("null", " the file is empty", "empty");
  expect_invalid("# only a comment\n", " the file is empty", "empty");
}

TEST(Yaml, RefusesOtherEncodingsAndControlCharacters) {
  expect_invalid(std::string_view("a: \0b\n", 6), "1", "control character");
  expect_invalid("a: 1\nb: \x07\n", "2", "control character");
  expect_invalid(std::string_view("\xFF\xFE"
                                  "a\0:\0",
                                  6),
                 "1", "control character");
  expect_invalid("a: \xFF\n", " byte 3", "not UTF-8");
  expect_invalid("a: \xC0\xAF\n", " byte 3", "not UTF-8");
}

TEST(Yaml, HoldsItsLimits) {
  EXPECT_EQ(failure_of("a: 12345\n", {.max_bytes = 8}).code, ErrorCode::limit);
  EXPECT_EQ(as_json("[[[]]]"), "[[[]]]");
  YamlLimits shallow;
  shallow.max_depth = 3;
  EXPECT_NO_THROW(parse("[[[]]]", shallow));
  EXPECT_EQ(failure_of("[[[[]]]]", shallow).code, ErrorCode::limit);
  EXPECT_EQ(failure_of("a:\n b:\n  c:\n   d: 1\n", shallow).code, ErrorCode::limit);
  YamlLimits few;
  few.max_nodes = 4;
  EXPECT_NO_THROW(parse("[1, 2, 3]", few));
  EXPECT_EQ(failure_of("[1, 2, 3, 4]", few).code, ErrorCode::limit);
}

TEST(Yaml, SurvivesDeepNestingWithoutDeepRecursion) {
  EXPECT_NE(failure_of(std::string(100'000, '[')).code, ErrorCode::internal);
  EXPECT_NE(failure_of(std::string(100'000, '{')).code, ErrorCode::internal);
  std::string keys;
  for (int i = 0; i < 50'000; ++i) keys += "? ";
  EXPECT_NE(failure_of(keys).code, ErrorCode::internal);
  std::string lists;
  for (int i = 0; i < 50'000; ++i) lists += "- ";
  EXPECT_EQ(failure_of(lists).code, ErrorCode::limit);
}

TEST(Yaml, UsesTheErrorCodeOfTheCaller) {
  try {
    parse_yaml("a: [", "mirror.yaml", ErrorCode::config_invalid);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::config_invalid);
    EXPECT_FALSE(error.hint().empty());
  }
}

TEST(YamlStream, KeepsThePositionsOfTheWholeText) {
  const auto documents = parse_yaml_stream(
      "# none yet\n---\na: 1\n---\n# empty\n---\nb: |\n  ---\n  text\nc: 2\n--- {d: 3}\n",
      "test.yaml", ErrorCode::spec_invalid);
  ASSERT_EQ(documents.size(), 3U);
  EXPECT_EQ(documents[0].position("/a").line, 3U);
  EXPECT_EQ(documents[1].root().at("b").as_string(), "---\ntext\n");
  EXPECT_EQ(documents[1].where("/c"), "test.yaml:10:1");
  EXPECT_EQ(documents[2].position("/d").line, 11U);
  EXPECT_TRUE(parse_yaml_stream("", "test.yaml", ErrorCode::spec_invalid).empty());
}

TEST(YamlStream, NamesTheLineOfAFault) {
  try {
    parse_yaml_stream("a: 1\n---\nb: 1\nb: 2\n", "test.yaml", ErrorCode::spec_invalid);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_TRUE(error.message().starts_with("test.yaml:4:1: ")) << error.message();
    EXPECT_NE(error.message().find("already given in line 3"), std::string::npos);
  }
}

TEST(JsonPointer, EscapesAndUnescapes) {
  const std::string pointer = pointer_append(pointer_append("", "a/b~c"), std::size_t{7});
  EXPECT_EQ(pointer, "/a~1b~0c/7");
  EXPECT_EQ(pointer_tokens(pointer), (std::vector<std::string>{"a/b~c", "7"}));
  EXPECT_TRUE(pointer_tokens("").empty());
  EXPECT_EQ(pointer_tokens("/"), (std::vector<std::string>{""}));
  EXPECT_EQ(pointer_tokens("/~"), (std::vector<std::string>{"~"}));
  EXPECT_EQ(pointer_index("12"), 12U);
  EXPECT_FALSE(pointer_index("1x"));
  EXPECT_FALSE(pointer_index(""));
}

TEST(Utf8, FindsTheFirstBadByte) {
  const std::pair<std::string_view, std::size_t> bad[] = {
      {"\x80", 0},
      {"a\xC3", 1},
      {"a\xC1\xBF", 1},
      {"\xE0\x9F\xBF", 0},
      {"\xED\xA0\x80", 0},
      {"\xF0\x8F\xBF\xBF", 0},
      {"\xF4\x90\x80\x80", 0},
      {"\xF5\x80\x80\x80", 0},
      {"ab\xE2\x82", 2},
      {"\xE2\x28\xA1", 0},
  };
  for (const auto& [text, offset] : bad) EXPECT_EQ(find_invalid_utf8(text), offset);
  EXPECT_FALSE(find_invalid_utf8("plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF"));
}

}  // namespace
}  // namespace bundle::codec
