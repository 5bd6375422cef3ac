// Signatures over statements, carriers, pointers and revocation lists.
#include "trust/limits.h"
#include "trust_support.h"

namespace bundle::trust {
namespace {

using test::digest_of;
using test::expect_error;
using test::fixed_key;
using test::kDay;
using test::kNow;
using test::sample_carrier;
using test::sample_pointer;
using test::sample_root;
using test::sample_statement;
using test::sample_trust;
using test::signature_by;
using test::signatures_by;

class VerifyRelease : public testing::Test {
 protected:
  Error refused(ErrorCode code, std::span<const SignatureFile> signatures) {
    return expect_error(code, [&] { root_.verify_release(json_, signatures, kNow); });
  }
  Error refused(ErrorCode code, std::initializer_list<int> keys) {
    return refused(code, signatures_by(keys, json_));
  }

  TrustRoot root_ = sample_trust();
  std::string json_ = encode_statement(sample_statement());
};

TEST_F(VerifyRelease, ThresholdOfDistinctKeys) {
  const auto release = root_.verify_release(json_, signatures_by({11, 13}, json_), kNow);
  EXPECT_EQ(*release, sample_statement());
  EXPECT_EQ(release.raw(), json_);
  EXPECT_EQ(release.digest(), digest_of(json_));
  EXPECT_EQ(release.root_version(), 1U);
  EXPECT_EQ(release.signers().size(), 2U);
  EXPECT_TRUE(std::ranges::is_sorted(release.signers()));
  EXPECT_NO_THROW(root_.verify_release(json_, signatures_by({11, 12, 13}, json_), kNow));
}

TEST_F(VerifyRelease, BareKey) {
  const TrustRoot bare = test::bare_trust(7);
  EXPECT_EQ(bare.verify_release(json_, signatures_by({7}, json_), kNow).root_version(), 0U);
  expect_error(ErrorCode::wrong_key,
               [&] { bare.verify_release(json_, signatures_by({8}, json_), kNow); });
}

TEST_F(VerifyRelease, Unsigned) {
  refused(ErrorCode::unsigned_release, std::vector<SignatureFile>{});
}

TEST_F(VerifyRelease, ThresholdMinusOne) {
  const Error error = refused(ErrorCode::threshold_unmet, {11});
  EXPECT_NE(error.message().find("1 of the 2"), std::string::npos) << error.message();
}

TEST_F(VerifyRelease, SameKeyTwice) {
  refused(ErrorCode::threshold_unmet, {11, 11});
  // With different comments the files differ, the signer does not.
  refused(ErrorCode::threshold_unmet,
          std::vector{signature_by(11, json_, "one"), signature_by(11, json_, "two")});
}

TEST_F(VerifyRelease, KeysOfOtherRolesDoNotCount) {
  for (const int key : {1, 2, 21, 31}) refused(ErrorCode::wrong_key, {key});
  refused(ErrorCode::threshold_unmet, {11, 21, 31, 1});
}

TEST_F(VerifyRelease, WrongKeyNamesWhoSignedAndWhoMay) {
  const Error error = refused(ErrorCode::wrong_key, {99});
  EXPECT_NE(error.message().find(fixed_key(99).public_key().id.text()), std::string::npos);
  EXPECT_NE(error.message().find(fixed_key(12).public_key().id.text()), std::string::npos);
}

TEST_F(VerifyRelease, ForeignSignatureBesideEnoughGoodOnes) {
  EXPECT_EQ(root_.verify_release(json_, signatures_by({99, 11, 12}, json_), kNow).signers().size(),
            2U);
}

TEST_F(VerifyRelease, ChangedStatementBySignedKeyIsInvalid) {
  const auto signatures = signatures_by({11, 12}, json_);
  bundle::test::for_each_flip(json_, [&](const std::string& changed, std::size_t at) {
    const Error error = expect_error(ErrorCode::signature_invalid,
                                     [&] { root_.verify_release(changed, signatures, kNow); });
    EXPECT_NE(error.message().find(signatures[0].name), std::string::npos) << at;
  });
}

TEST_F(VerifyRelease, ChangedTrustedComment) {
  auto signatures = signatures_by({11, 12}, json_);
  std::string& text = signatures[1].content;
  text.replace(text.find("trusted comment: test", 50), 21, "trusted comment: text");
  refused(ErrorCode::signature_invalid, signatures);
}

// Anyone can write a trusted key's id into a signature of his own.
TEST_F(VerifyRelease, BorrowedKeyId) {
  MinisignSignature signature = fixed_key(99).sign(as_bytes(json_), "test");
  signature.key_id = fixed_key(11).public_key().id;
  refused(ErrorCode::signature_invalid, std::vector<SignatureFile>{{"x", signature.text()}});
}

// And a trusted key's signature counts whatever id its file carries.
TEST_F(VerifyRelease, KeyIdIsOnlyAHint) {
  MinisignSignature signature = fixed_key(11).sign(as_bytes(json_), "test");
  signature.key_id = fixed_key(99).public_key().id;
  const std::vector<SignatureFile> files = {{"x", signature.text()}, signature_by(12, json_)};
  EXPECT_EQ(root_.verify_release(json_, files, kNow).signers().size(), 2U);
}

TEST_F(VerifyRelease, MalformedSignatureFile) {
  auto signatures = signatures_by({11, 12, 13}, json_);
  signatures[1].content.resize(40);
  const Error error = refused(ErrorCode::signature_malformed, signatures);
  EXPECT_NE(error.message().find(signatures[1].name), std::string::npos);
}

TEST_F(VerifyRelease, SignatureOfAnotherRelease) {
  const std::string other = encode_statement(sample_statement("1.5.0", 8));
  refused(ErrorCode::signature_invalid, signatures_by({11, 12}, other));
}

TEST_F(VerifyRelease, TooManySignatureFiles) {
  refused(ErrorCode::limit,
          std::vector<SignatureFile>(kMaxSignatureFiles + 1, signature_by(11, json_)));
}

TEST_F(VerifyRelease, EndlessStatement) {
  json_.assign(kMaxStatementBytes + 1, 'x');
  refused(ErrorCode::limit, {11, 12});
}

// Nothing is parsed before the signatures hold: garbage signed by nobody is a signature problem,
// garbage signed by the vendor is a malformed statement.
TEST_F(VerifyRelease, SignatureComesBeforeParsing) {
  json_ = "{\"_type\":";
  refused(ErrorCode::wrong_key, {99});
  refused(ErrorCode::statement_invalid, {11, 12});
}

TEST_F(VerifyRelease, OtherDocumentOfTheSameRole) {
  RevocationList list;
  list.product = "example-appliance";
  list.sequence = 1;
  json_ = encode_revocations(list);
  refused(ErrorCode::statement_invalid, {11, 12});
}

TEST_F(VerifyRelease, SignedButNotCanonical) {
  json_ += "\n";
  refused(ErrorCode::statement_invalid, {11, 12});
}

TEST_F(VerifyRelease, Expiry) {
  const auto signatures = signatures_by({11, 12}, json_);
  const UnixTime end = sample_statement().expires;
  EXPECT_NO_THROW(root_.verify_release(json_, signatures, kNow));
  RootMetadata late = sample_root();
  late.expires = end + 10 * kDay;
  const auto root = TrustRoot::parse(test::sign_root_with(encode_root(late), {1, 2}), "r");
  EXPECT_NO_THROW(root.verify_release(json_, signatures, end - 1));
  const Error error =
      expect_error(ErrorCode::expired, [&] { root.verify_release(json_, signatures, end); });
  EXPECT_NE(error.message().find(format_time(sample_statement().created)), std::string::npos);
  EXPECT_NE(error.message().find(format_time(end)), std::string::npos);
  EXPECT_NE(error.hint().find("clock"), std::string::npos);
  // What the site has accepted before does not run out under it.
  EXPECT_NO_THROW(root.verify_release(json_, signatures, std::nullopt));
}

TEST_F(VerifyRelease, ExpiredRoot) {
  const auto signatures = signatures_by({11, 12}, json_);
  const UnixTime end = *sample_root().expires;
  ASSERT_LE(end, sample_statement().expires);
  const Error error =
      expect_error(ErrorCode::expired, [&] { root_.verify_release(json_, signatures, end); });
  EXPECT_NE(error.message().find("trust root 1"), std::string::npos) << error.message();
}

TEST_F(VerifyRelease, RootWithoutTheRole) {
  RootMetadata metadata;
  metadata.version = 1;
  metadata.expires = kNow + kDay;
  add_key(metadata, role::kRoot, fixed_key(1).public_key());
  const auto root = TrustRoot::parse(test::sign_root_with(encode_root(metadata), {1}), "r");
  expect_error(ErrorCode::root_invalid,
               [&] { root.verify_release(json_, signatures_by({1}, json_), kNow); });
}

TEST(VerifyCarrier, BelongsToItsRelease) {
  const TrustRoot root = sample_trust();
  const auto release = test::verified(root, sample_statement(), {11, 12});
  const std::string json = encode_carrier(sample_carrier(release.digest()));
  const auto carrier = root.verify_carrier(json, signatures_by({31}, json), release, kNow);
  EXPECT_EQ(carrier->index_digest, digest_of("index"));

  const auto other = test::verified(root, sample_statement("1.5.0", 8), {11, 12});
  expect_error(ErrorCode::statement_mismatch,
               [&] { root.verify_carrier(json, signatures_by({31}, json), other, kNow); });
  for (const int key : {1, 11, 21, 99}) {
    expect_error(ErrorCode::wrong_key,
                 [&] { root.verify_carrier(json, signatures_by({key}, json), release, kNow); });
  }
  expect_error(ErrorCode::unsigned_release, [&] { root.verify_carrier(json, {}, release, kNow); });
}

TEST(VerifyPointer, RoleAndExpiry) {
  const TrustRoot root = sample_trust();
  const std::string json = encode_pointer(sample_pointer(digest_of("s")));
  const auto signatures = signatures_by({21}, json);
  EXPECT_EQ(root.verify_pointer(json, signatures, kNow)->sequence, 3U);
  // Freeze: the vendor's last word is too old.
  const Error error = expect_error(
      ErrorCode::expired, [&] { root.verify_pointer(json, signatures, kNow + 14 * kDay); });
  EXPECT_NE(error.message().find("stable"), std::string::npos);
  expect_error(ErrorCode::wrong_key,
               [&] { root.verify_pointer(json, signatures_by({11}, json), kNow); });
}

TEST(VerifyRevocations, ReleaseThreshold) {
  const TrustRoot root = sample_trust();
  RevocationList list;
  list.product = "example-appliance";
  list.sequence = 1;
  list.created = kNow;
  const std::string json = encode_revocations(list);
  EXPECT_EQ(*root.verify_revocations(json, signatures_by({12, 13}, json), kNow), list);
  expect_error(ErrorCode::threshold_unmet,
               [&] { root.verify_revocations(json, signatures_by({12}, json), kNow); });
}

TEST(SignatureFileName, NamesDocumentAndKey) {
  const auto signature = fixed_key(0xab).sign({}, "c");
  EXPECT_EQ(signature_file_name("statement.json", signature), "statement.ABABABABABABABAB.minisig");
}

}  // namespace
}  // namespace bundle::trust
