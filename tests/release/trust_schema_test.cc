// The schemas of the signed documents describe exactly what the trust room writes.
#include <gtest/gtest.h>

#include "codec/schema.h"
#include "crypto/minisign.h"
#include "release_samples.h"
#include "trust/carrier.h"
#include "trust/pointer.h"
#include "trust/revocation.h"
#include "trust/root_builder.h"
#include "trust/statement.h"
#include "trust/time_statement.h"

namespace bundle::release {
namespace {

void expect_valid(std::string_view schema, std::string_view text) {
  const auto violations = codec::Schema::builtin(schema).check(codec::parse_json(text, "document"));
  EXPECT_TRUE(violations.empty()) << text << "\n" << codec::describe(violations);
}

TEST(TrustSchemas, DescribeAStatement) {
  trust::Statement statement;
  statement.product = "example-appliance";
  statement.version = "1.4.0-rc.1+build.5";
  statement.release_number = 1;
  statement.created = 1'795'446'000;
  statement.expires = statement.created + 86'400;
  statement.manifest_digest = digest_of("manifest");
  statement.manifest_size = 1;
  statement.blob_list_digest = digest_of("blobs");
  expect_valid("statement", trust::encode_statement(statement));
}

TEST(TrustSchemas, DescribeACarrier) {
  trust::Carrier carrier;
  carrier.statement_digest = digest_of("statement");
  carrier.index_digest = digest_of("index");
  carrier.index_size = 100;
  carrier.pack_size = 1000;
  carrier.leaf_count = 4;
  expect_valid("carrier", trust::encode_carrier(carrier));
  carrier.bases = {{"1.3.0", digest_of("base")}};
  expect_valid("carrier", trust::encode_carrier(carrier));
}

TEST(TrustSchemas, DescribeAChannelPointer) {
  trust::ChannelPointer pointer;
  pointer.product = "example-appliance";
  pointer.channel = "stable";
  pointer.sequence = 1;
  pointer.created = 1'795'446'000;
  pointer.expires = pointer.created + 86'400;
  pointer.statement_digest = digest_of("statement");
  pointer.release_version = "1.4.0";
  expect_valid("channel-pointer", trust::encode_pointer(pointer));
  pointer.revocation_digest = digest_of("revocations");
  expect_valid("channel-pointer", trust::encode_pointer(pointer));
}

TEST(TrustSchemas, DescribeARevocationList) {
  trust::RevocationList list;
  list.product = "example-appliance";
  list.sequence = 1;
  list.created = 1'795'446'000;
  expect_valid("revocations", trust::encode_revocations(list));
  list.releases = {{digest_of("b"), "1.3.9", "loses data"}, {digest_of("a"), "1.3.8", ""}};
  list.keys = {digest_of("key").hex()};
  expect_valid("revocations", trust::encode_revocations(list));
}

TEST(TrustSchemas, DescribeATimeStatement) {
  trust::TimeStatement statement;
  statement.site = "00112233445566778899aabbccddeeff";
  statement.created = 1'795'446'000;
  statement.clock_from = statement.created + 1000 * 86'400;
  statement.clock_until = statement.clock_from + 86'400;
  expect_valid("time-statement", trust::encode_time(statement));
}

TEST(TrustSchemas, DescribeATrustRoot) {
  trust::RootMetadata root;
  root.version = 1;
  root.expires = 1'795'446'000;
  MinisignPublicKey key;
  key.key.fill(7);
  for (const std::string_view role : {"root", "release", "timestamp", "carrier"}) {
    trust::add_key(root, role, key);
  }
  expect_valid("trust-root", trust::encode_root(root));
}

}  // namespace
}  // namespace bundle::release
