#include "codec/json.h"

#include <gtest/gtest.h>

#include <limits>

namespace bundle::codec {
namespace {

ErrorCode failure_of(std::string_view text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "test.json", limits);
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("test.json"), std::string::npos) << error.message();
    return error.code();
  }
  ADD_FAILURE() << "accepted: " << text;
  return ErrorCode::internal;
}

TEST(JsonParse, ReadsEveryKindOfValue) {
  const Json json = parse_json(
      R"({"n":null,"t":true,"f":false,"i":-9223372036854775808,"d":1.5,"s":"a\u00e9\n","a":[1,[]],"o":{}})",
      "test");
  EXPECT_TRUE(json.at("n").is_null());
  EXPECT_TRUE(json.at("t").as_bool());
  EXPECT_FALSE(json.at("f").as_bool());
  EXPECT_EQ(json.at("i").as_int(), std::numeric_limits<std::int64_t>::min());
  EXPECT_DOUBLE_EQ(json.at("d").as_double(), 1.5);
  EXPECT_EQ(json.at("s").as_string(), "a\xC3\xA9\n");
  EXPECT_EQ(json.at("a").as_array().size(), 2U);
  EXPECT_TRUE(json.at("o").as_object().empty());
}

TEST(JsonParse, ReadsTheLargestIntegerAndNoLargerOne) {
  EXPECT_EQ(parse_json("9223372036854775807", "test").as_size(), 9223372036854775807U);
  EXPECT_EQ(failure_of("9223372036854775808"), ErrorCode::json_invalid);
  EXPECT_EQ(failure_of("1e999"), ErrorCode::json_invalid);
}

TEST(JsonParse, RefusesWhatIsNotStrictJson) {
  const std::string_view cases[] = {"",
                                    " ",
                                    "nul",
                                    "tru",
                                    "01",
                                    "+1",
                                    "1.",
                                    ".5",
                                    "-",
                                    "0x10",
                                    "NaN",
                                    "Infinity",
                                    "'a'",
                                    "\"",
                                    "\"\\x\"",
                                    "\"\\u12\"",
                                    "\"\\ud800\"",
                                    "\"\t\"",
                                    "\"\n\"",
                                    "[1,]",
                                    "[,1]",
                                    "[1 2]",
                                    "[",
                                    "]",
                                    "{",
                                    "}",
                                    "{\"a\"}",
                                    "{\"a\":}",
                                    "{\"a\":1,}",
                                    "{a:1}",
                                    "{1:1}",
                                    "1 2",
                                    "{} {}",
                                    "[]]",
                                    "// c\n1",
                                    "/* c */1",
                                    "\"\xFF\"",
                                    "\"\xC0\xAF\"",
                                    "\"\xED\xA0\x80\"",
                                    "\"\xF4\x90\x80\x80\"",
                                    "\"\xC3\"",
                                    "\xFE\xFF\x00\x31"};
  for (const std::string_view text : cases) {
    EXPECT_EQ(failure_of(text), ErrorCode::json_invalid) << text;
  }
}

TEST(JsonParse, RefusesAZeroByteInAndAfterAValue) {
  EXPECT_EQ(failure_of(std::string_view("\"a\0b\"", 5)), ErrorCode::json_invalid);
  EXPECT_EQ(failure_of(std::string_view("1\0", 2)), ErrorCode::json_invalid);
}

TEST(JsonParse, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(failure_of(R"({"a":1,"a":1})"), ErrorCode::json_invalid);
  EXPECT_EQ(failure_of(R"([{"x":{"a":1,"b":2,"a":3}}])"), ErrorCode::json_invalid);
  // The same key, once written plainly and once escaped.
  EXPECT_EQ(failure_of(R"({"a":1,"\u0061":2})"), ErrorCode::json_invalid);
  EXPECT_NO_THROW(parse_json(R"({"a":{"a":1},"b":{"a":1}})", "test"));
}

TEST(JsonParse, NamesTheByteOfTheMistake) {
  try {
    parse_json(R"({"a": nope})", "test.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("byte 8"), std::string::npos) << error.message();
  }
}

TEST(JsonParse, HoldsItsLimits) {
  EXPECT_EQ(failure_of("[1,2,3]", {.max_bytes = 6, .max_depth = 8}), ErrorCode::limit);
  EXPECT_NO_THROW(parse_json("[1,2,3]", "test", {.max_bytes = 7, .max_depth = 8}));
  EXPECT_NO_THROW(parse_json("[[[]]]", "test", {.max_bytes = 100, .max_depth = 3}));
  EXPECT_EQ(failure_of("[[[[]]]]", {.max_bytes = 100, .max_depth = 3}), ErrorCode::limit);
  EXPECT_EQ(failure_of(R"({"a":{"a":{"a":{}}}})", {.max_bytes = 100, .max_depth = 3}),
            ErrorCode::limit);
}

TEST(JsonParse, SurvivesDeepNestingWithoutDeepRecursion) {
  const std::string deep(2'000'000, '[');
  EXPECT_EQ(failure_of(deep), ErrorCode::limit);
}

TEST(JsonValue, RefusesTheWrongType) {
  const Json text("a");
  EXPECT_THROW(text.as_int(), Error);
  EXPECT_THROW(text.as_bool(), Error);
  EXPECT_THROW(text.as_double(), Error);
  EXPECT_THROW(text.as_array(), Error);
  EXPECT_THROW(text.as_object(), Error);
  EXPECT_THROW(Json(1).as_string(), Error);
  EXPECT_THROW(Json(-1).as_size(), Error);
  EXPECT_THROW(Json(1.0).as_int(), Error);
  EXPECT_THROW(Json::object().at("missing"), Error);
  EXPECT_THROW(Json(std::uint64_t{1} << 63), Error);
  EXPECT_EQ(text.find("a"), nullptr);
  EXPECT_EQ(Json::object().string_or("a", "b"), "b");
}

TEST(JsonValue, BuildsObjectsAndArraysFromNull) {
  Json json;
  json.set("b", 2).set("a", Json::array()).set("b", 3);
  Json list;
  list.push_back("x");
  json.set("a", list);
  EXPECT_EQ(dump_json(json), R"({"a":["x"],"b":3})");
  EXPECT_THROW(list.set("a", 1), Error);
  EXPECT_THROW(json.push_back(1), Error);
}

// OLPC canonical JSON: keys by byte, no white space, only quote and backslash escaped.
TEST(CanonicalJson, HasOneFormForOneValue) {
  const Json json = parse_json(
      "{ \"b\" : [ true , null ], \"a\\u00e9\":\"q\\\"b\\\\n\\n\", \"B\":-5 , \"a\" : {} }",
      "test");
  EXPECT_EQ(canonical_json(json),
            "{\"B\":-5,\"a\":{},\"a\xC3\xA9\":\"q\\\"b\\\\n\n\",\"b\":[true,null]}");
}

TEST(CanonicalJson, IsStableUnderReparsing) {
  const std::string text = R"({"a":[1,2,{"y":false,"z":"x"}],"b":"\"\\"})";
  EXPECT_EQ(canonical_json(parse_json(text, "test")), text);
}

TEST(CanonicalJson, RefusesFractions) {
  EXPECT_THROW(canonical_json(Json(1.5)), Error);
  EXPECT_THROW(canonical_json(parse_json("[1.0]", "test")), Error);
}

TEST(DumpJson, RoundTripsWithAndWithoutIndent) {
  const std::string text = R"({"a":[1,2.5,"x\n"],"b":null})";
  const Json json = parse_json(text, "test");
  EXPECT_EQ(dump_json(json), text);
  EXPECT_EQ(parse_json(dump_json(json, 2), "test"), json);
  EXPECT_NE(dump_json(json, 2).find("\n  \"a\""), std::string::npos);
}

TEST(DumpJson, ReplacesInvalidUtf8InsteadOfFailing) {
  EXPECT_EQ(dump_json(Json("a\xFF")), "\"a\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace bundle::codec
