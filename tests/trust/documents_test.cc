// Encoding and parsing of the signed documents: one spelling, strict ranges.
#include <functional>

#include "codec/json.h"
#include "trust/limits.h"
#include "trust_support.h"

namespace bundle::trust {
namespace {

using codec::Json;
using test::digest_of;
using test::expect_error;
using test::kNow;
using test::sample_carrier;
using test::sample_pointer;
using test::sample_statement;

TEST(Statement, RoundTrip) {
  const Statement statement = sample_statement();
  EXPECT_EQ(parse_statement(encode_statement(statement), "s"), statement);
}

// `change` edits the parsed document; the result is canonical again, so only the field is wrong.
void refuse_changed(std::string_view json, const std::function<void(Json&)>& change,
                    const std::function<void(std::string_view)>& parse) {
  Json document = codec::parse_json(json, "test");
  change(document);
  const std::string changed = codec::canonical_json(document);
  expect_error(ErrorCode::statement_invalid, [&] { parse(changed); });
}

void parse_as_statement(std::string_view json) {
  parse_statement(json, "s");
}
void parse_as_carrier(std::string_view json) {
  parse_carrier(json, "c");
}
void parse_as_pointer(std::string_view json) {
  parse_pointer(json, "p");
}
void parse_as_revocations(std::string_view json) {
  parse_revocations(json, "r");
}

RevocationList sample_revocations() {
  RevocationList list;
  list.product = "example-appliance";
  list.sequence = 2;
  list.created = kNow;
  list.releases = {{digest_of("b"), "1.3.1", "CVE-2027-0001"}, {digest_of("a"), "1.3.0", ""}};
  list.keys = {std::string(64, 'b'), std::string(64, 'a')};
  return list;
}

// Every member of every document: missing, null, another type.
TEST(Documents, EveryMemberIsDemandedAndTyped) {
  struct Case {
    std::string json;
    void (*parse)(std::string_view);
    std::vector<std::string> optional;
  };
  const std::vector<Case> cases = {
      {encode_statement(sample_statement()), parse_as_statement, {}},
      {encode_carrier(sample_carrier(digest_of("s"))), parse_as_carrier, {}},
      {encode_pointer(sample_pointer(digest_of("s"))), parse_as_pointer, {}},
      {encode_revocations(sample_revocations()), parse_as_revocations, {"releases", "keys"}},
  };
  for (const Case& entry : cases) {
    const Json document = codec::parse_json(entry.json, "test");
    for (const auto& [name, value] : document.as_object()) {
      const bool optional = std::ranges::count(entry.optional, name) > 0;
      if (!optional) {
        refuse_changed(
            entry.json, [&](Json& json) { json.as_object().erase(name); }, entry.parse);
      }
      for (const Json& wrong : {Json(), Json(true), Json(-1), Json("\x01"), Json(std::string()),
                                Json("../x"), Json(std::string(1000, 'a'))}) {
        refuse_changed(
            entry.json, [&](Json& json) { json.set(name, wrong); }, entry.parse);
      }
    }
  }
}

TEST(Documents, NamesCannotBecomePaths) {
  const std::string json = encode_statement(sample_statement());
  for (const char* bad : {"", ".", "..", "../1.0", "a/b", "/etc", "a\\b", "-x", ".hidden", "a b",
                          "a\nb", "1.4.0\u0430", "\uff11.4.0", "con:"}) {
    for (const char* member : {"release_version", "product"}) {
      refuse_changed(
          json, [&](Json& document) { document.set(member, bad); }, parse_as_statement);
    }
    Statement statement = sample_statement();
    statement.version = bad;
    expect_error(ErrorCode::statement_invalid, [&] { encode_statement(statement); });
  }
  Statement longest = sample_statement(std::string(kMaxNameBytes, '1'));
  EXPECT_EQ(parse_statement(encode_statement(longest), "s").version, longest.version);
  longest.version += "1";
  expect_error(ErrorCode::statement_invalid, [&] { encode_statement(longest); });
}

TEST(Documents, NumbersStayInRange) {
  const std::string json = encode_statement(sample_statement());
  for (const Json& bad : {Json(0), Json(-1), Json(kMaxJsonNumber + 1), Json(INT64_MAX)}) {
    refuse_changed(
        json, [&](Json& document) { document.set("release_number", bad); }, parse_as_statement);
  }
  Statement largest = sample_statement();
  largest.release_number = kMaxJsonNumber;
  EXPECT_EQ(parse_statement(encode_statement(largest), "s").release_number, kMaxJsonNumber);
}

TEST(Documents, ExpiryFollowsCreation) {
  Statement statement = sample_statement();
  statement.expires = statement.created;
  expect_error(ErrorCode::statement_invalid, [&] { encode_statement(statement); });
  ChannelPointer pointer = sample_pointer(digest_of("s"));
  pointer.expires = pointer.created - 1;
  expect_error(ErrorCode::statement_invalid, [&] { encode_pointer(pointer); });
}

// The same statement in another spelling is another document: it is refused even when signed.
TEST(Documents, OnlyCanonicalBytes) {
  const std::string json = encode_statement(sample_statement());
  const auto replaced = [&](std::string_view from, std::string_view to) {
    std::string text = json;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& bad :
       {json + "\n", " " + json, json + json, replaced(":", ": "), replaced(",", ", "),
        replaced("\"product\"", "\"\\u0070roduct\""), replaced("1.4.0", "1\\u002e4.0"),
        replaced("\"release_number\":7", "\"release_number\":7.0"),
        replaced("\"release_number\":7", "\"release_number\":7e0"),
        replaced("\"release_number\":7", "\"release_number\":07"),
        replaced("\"release_number\":7", "\"release_number\":+7"),
        replaced("\"release_number\":7", "\"release_number\":7,\"release_number\":8"),
        replaced("\"product\"", "\"release_version\":\"1.4.0\",\"product\""),
        std::string("\xef\xbb\xbf") + json, json.substr(0, json.size() - 1), std::string(),
        std::string("null"), std::string("[]"), std::string(5000, '[')}) {
    expect_error(ErrorCode::statement_invalid, [&] { parse_statement(bad, "s"); });
  }
}

TEST(Documents, UnknownMembersPassUnknownMajorDoesNot) {
  const std::string json = encode_statement(sample_statement());
  Json document = codec::parse_json(json, "test");
  document.set("future", "member");
  document.set("spec_version", "1.9");
  EXPECT_EQ(parse_statement(codec::canonical_json(document), "s"), sample_statement());
  for (const char* version : {"2.0", "0.9", "10.0"}) {
    document.set("spec_version", version);
    expect_error(ErrorCode::unsupported,
                 [&] { parse_statement(codec::canonical_json(document), "s"); });
  }
  document.set("spec_version", "1");
  expect_error(ErrorCode::statement_invalid,
               [&] { parse_statement(codec::canonical_json(document), "s"); });
}

TEST(Documents, OneTypeIsNotAnother) {
  const std::string statement = encode_statement(sample_statement());
  const std::string carrier = encode_carrier(sample_carrier(digest_of("s")));
  const std::string pointer = encode_pointer(sample_pointer(digest_of("s")));
  const std::string revocations = encode_revocations(sample_revocations());
  expect_error(ErrorCode::statement_invalid, [&] { parse_statement(carrier, "s"); });
  expect_error(ErrorCode::statement_invalid, [&] { parse_carrier(pointer, "s"); });
  expect_error(ErrorCode::statement_invalid, [&] { parse_pointer(revocations, "s"); });
  expect_error(ErrorCode::statement_invalid, [&] { parse_revocations(statement, "s"); });
}

TEST(Documents, SizeLimits) {
  expect_error(ErrorCode::limit,
               [] { parse_statement(std::string(kMaxStatementBytes + 1, ' '), "s"); });
  expect_error(ErrorCode::limit,
               [] { parse_carrier(std::string(kMaxCarrierBytes + 1, ' '), "s"); });
  expect_error(ErrorCode::limit,
               [] { parse_pointer(std::string(kMaxPointerBytes + 1, ' '), "s"); });
  expect_error(ErrorCode::limit,
               [] { parse_revocations(std::string(kMaxRevocationBytes + 1, ' '), "s"); });
}

TEST(Carrier, RoundTripWithBases) {
  Carrier carrier = sample_carrier(digest_of("s"));
  EXPECT_EQ(parse_carrier(encode_carrier(carrier), "c"), carrier);
  EXPECT_EQ(encode_carrier(carrier).find("bases"), std::string::npos);
  for (std::size_t i = 0; i < kMaxCarrierBases; ++i) {
    carrier.bases.push_back({"1.3." + std::to_string(i), digest_of(std::to_string(i))});
  }
  EXPECT_EQ(parse_carrier(encode_carrier(carrier), "c"), carrier);
  carrier.bases.push_back({"1.2.0", digest_of("x")});
  expect_error(ErrorCode::statement_invalid, [&] { encode_carrier(carrier); });
}

TEST(Carrier, BundleIdIsTheStartOfItsDigest) {
  const std::string json = encode_carrier(sample_carrier(digest_of("s")));
  EXPECT_EQ(to_hex(bundle_id(json)), digest_of(json).hex().substr(0, 32));
}

TEST(Pointer, RoundTrip) {
  ChannelPointer pointer = sample_pointer(digest_of("s"));
  EXPECT_EQ(parse_pointer(encode_pointer(pointer), "p"), pointer);
  pointer.revocation_digest = digest_of("revocations");
  EXPECT_EQ(parse_pointer(encode_pointer(pointer), "p"), pointer);
  pointer.stale_base_reason = "a fix that cannot wait";
  EXPECT_EQ(parse_pointer(encode_pointer(pointer), "p"), pointer);
  pointer.stale_base_reason = "two\nlines";
  expect_error(ErrorCode::statement_invalid, [&] { encode_pointer(pointer); });
  pointer.stale_base_reason = std::string(kMaxPointerReasonBytes + 1, 'x');
  expect_error(ErrorCode::statement_invalid, [&] { encode_pointer(pointer); });
}

TEST(Revocations, EncodedSortedReadSorted) {
  const RevocationList list = parse_revocations(encode_revocations(sample_revocations()), "r");
  EXPECT_TRUE(std::ranges::is_sorted(list.releases, {}, &RevokedRelease::statement_digest));
  EXPECT_TRUE(std::ranges::is_sorted(list.keys));
  EXPECT_EQ(list.releases.size(), 2U);
  RevocationList twice = sample_revocations();
  twice.releases.push_back(twice.releases.front());
  expect_error(ErrorCode::statement_invalid, [&] { encode_revocations(twice); });
  RevocationList bad_key = sample_revocations();
  bad_key.keys.push_back("0123");
  expect_error(ErrorCode::statement_invalid, [&] { encode_revocations(bad_key); });
  RevocationList bad_reason = sample_revocations();
  bad_reason.releases[0].reason = "two\nlines";
  expect_error(ErrorCode::statement_invalid, [&] { encode_revocations(bad_reason); });
}

}  // namespace
}  // namespace bundle::trust
