// Making, rotating and merging roots.
#include "trust/root_builder.h"

#include "codec/json.h"
#include "trust_support.h"

namespace bundle::trust {
namespace {

using test::expect_error;
using test::fixed_key;
using test::kDay;
using test::kNow;
using test::sample_root;
using test::sign_root_with;

std::string key_id(std::uint8_t number) {
  return tuf_key_id(fixed_key(number).public_key().key);
}

TEST(RootBuilder, SameInputSameBytes) {
  EXPECT_EQ(test::sample_root_json(), test::sample_root_json());
  const std::string unsigned_root = encode_root(sample_root());
  EXPECT_EQ(sign_root_with(unsigned_root, {1, 2}), sign_root_with(unsigned_root, {2, 1}));
  EXPECT_EQ(sign_root_with(unsigned_root, {1, 1, 2}), sign_root_with(unsigned_root, {1, 2}));
}

TEST(RootBuilder, EditsAreChecked) {
  RootMetadata root = sample_root();
  expect_error(ErrorCode::usage, [&] { add_key(root, role::kRoot, fixed_key(1).public_key()); });
  expect_error(ErrorCode::usage, [&] { remove_key(root, role::kRoot, key_id(11)); });
  expect_error(ErrorCode::usage, [&] { remove_key(root, "nobody", key_id(1)); });
  expect_error(ErrorCode::usage, [&] { remove_key(root, role::kCarrier, key_id(31)); });
  expect_error(ErrorCode::usage, [&] { set_threshold(root, role::kRoot, 0); });
  expect_error(ErrorCode::usage, [&] { set_threshold(root, role::kRoot, 4); });
  expect_error(ErrorCode::usage, [&] { set_threshold(root, "nobody", 1); });
  EXPECT_EQ(root, sample_root());
  remove_key(root, role::kRoot, key_id(3));
  EXPECT_FALSE(root.keys.contains(key_id(3)));
  expect_error(ErrorCode::usage, [&] { remove_key(root, role::kRoot, key_id(2)); });
}

TEST(RootBuilder, KeyWithTwoRolesStaysForTheOther) {
  RootMetadata root = sample_root();
  add_key(root, role::kCarrier, fixed_key(11).public_key());
  remove_key(root, role::kCarrier, key_id(11));
  EXPECT_TRUE(root.keys.contains(key_id(11)));
}

TEST(RootBuilder, RootWithoutExpiryOrRootRoleIsRefused) {
  RootMetadata root = sample_root();
  root.expires.reset();
  expect_error(ErrorCode::root_invalid, [&] { encode_root(root); });
  root = sample_root();
  root.roles.erase(std::string(role::kRoot));
  expect_error(ErrorCode::root_invalid, [&] { encode_root(root); });
  root = sample_root();
  root.version = 0;
  expect_error(ErrorCode::root_invalid, [&] { encode_root(root); });
}

TEST(RootBuilder, NextRoot) {
  const RootMetadata next = next_root(sample_root(), kNow + kDay);
  EXPECT_EQ(next.version, 2U);
  EXPECT_EQ(next.expires, kNow + kDay);
  EXPECT_EQ(next.keys, sample_root().keys);
  const RootMetadata first = next_root(test::bare_trust(7).metadata(), kNow + kDay);
  EXPECT_EQ(first.version, 1U);
  const std::string signed_root = sign_root_with(encode_root(first), {7});
  EXPECT_EQ(test::bare_trust(7).update(signed_root, "1.root.json").version(), 1U);
}

// Two signers, two machines, files carried between them.
TEST(RootBuilder, MergeBringsSignersTogether) {
  const std::string unsigned_root = encode_root(sample_root());
  const std::string first = sign_root_with(unsigned_root, {1});
  const std::string second = sign_root_with(unsigned_root, {2});
  EXPECT_EQ(merge_roots(first, second), sign_root_with(unsigned_root, {1, 2}));
  EXPECT_EQ(merge_roots(second, first), merge_roots(first, second));
  EXPECT_EQ(merge_roots(first, unsigned_root), first);
  RootMetadata other = sample_root();
  other.expires = kNow + kDay;
  expect_error(ErrorCode::statement_mismatch, [&] { merge_roots(first, encode_root(other)); });
}

TEST(RootBuilder, MergeKeepsTheSignatureThatHolds) {
  const std::string good = sign_root_with(encode_root(sample_root()), {1});
  std::string damaged = good;
  const std::size_t at = damaged.find("\"sig\": \"") + 8;
  damaged[at] = damaged[at] == '0' ? '1' : '0';
  EXPECT_EQ(merge_roots(good, damaged), good);
  EXPECT_EQ(merge_roots(damaged, good), good);
}

TEST(RootBuilder, MissingSignatures) {
  const RootMetadata previous = sample_root();
  RootMetadata next = next_root(previous, kNow + 400 * kDay);
  add_key(next, role::kRoot, fixed_key(4).public_key());
  remove_key(next, role::kRoot, key_id(1));
  std::string root = encode_root(next);
  EXPECT_EQ(missing_signatures(root, &previous), (MissingSignatures{2, 2}));
  root = sign_root_with(root, {1});
  EXPECT_EQ(missing_signatures(root, &previous), (MissingSignatures{2, 1}));
  root = sign_root_with(root, {2});
  EXPECT_EQ(missing_signatures(root, &previous), (MissingSignatures{1, 0}));
  root = sign_root_with(root, {4});
  EXPECT_EQ(missing_signatures(root, &previous), (MissingSignatures{0, 0}));
  EXPECT_EQ(missing_signatures(root, nullptr), (MissingSignatures{0, 0}));
  EXPECT_NO_THROW(test::sample_trust().update(root, "2.root.json"));
}

// An HSM command signs roots, too; its key is found among the keys of the root.
TEST(RootBuilder, CommandSigner) {
  if (!bundle::test::has_tool("minisign")) GTEST_SKIP() << "minisign is not installed";
  const test::ScratchDirectory dir;
  write_key_pair(posix_file_system(), dir / "root1", fixed_key(1), {});
  const std::string command = "minisign -S -l -s '" + (dir / "root1.key").string() +
                              "' -t \"$BUNDLE_TRUSTED_COMMENT\" -x /dev/stdout -m /dev/stdin";
  CommandSigner signer(command);
  const std::string unsigned_root = encode_root(sample_root());
  EXPECT_EQ(sign_root(unsigned_root, signer), sign_root_with(unsigned_root, {1}));
  RootMetadata without = sample_root();
  remove_key(without, role::kRoot, key_id(1));
  expect_error(ErrorCode::usage, [&] { sign_root(encode_root(without), signer); });
  CommandSigner told(command, fixed_key(1).public_key());
  EXPECT_NO_THROW(sign_root(encode_root(without), told));
}

TEST(RootBuilder, UnknownMembersSurviveSigning) {
  codec::Json document = codec::parse_json(encode_root(sample_root()), "test");
  document.as_object().find("signed")->second.set("x-note", "kept");
  const std::string root = sign_root_with(codec::dump_json(document), {1, 2});
  EXPECT_NE(root.find("x-note"), std::string::npos);
  EXPECT_NO_THROW(TrustRoot::parse(root, "r"));
}

}  // namespace
}  // namespace bundle::trust
