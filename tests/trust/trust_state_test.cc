// What a site remembers: over restarts, rollbacks, rotations and revocations.
#include "trust/trust_state.h"

#include "trust_support.h"

namespace bundle::trust {
namespace {

using test::digest_of;
using test::expect_error;
using test::fixed_key;
using test::kDay;
using test::kNow;
using test::sample_pointer;
using test::sample_root;
using test::sample_root_json;
using test::sample_statement;
using test::sample_trust;
using test::sign_root_with;
using test::signatures_by;

class TrustStateTest : public testing::Test {
 protected:
  // As after a restart.
  TrustState open() { return {posix_file_system(), dir_ / "trust"}; }
  TrustState pinned() {
    TrustState state = open();
    state.pin(sample_trust());
    return state;
  }
  static VerifiedRelease release(std::string version, std::uint64_t number,
                                 UnixTime created = kNow - kDay) {
    Statement statement = sample_statement(std::move(version), number);
    statement.created = created;
    return test::verified(sample_trust(), statement, {11, 12});
  }
  static VerifiedPointer pointer(std::uint64_t sequence, std::string version = "1.4.0") {
    ChannelPointer model = sample_pointer(digest_of("s"), sequence);
    model.release_version = std::move(version);
    const std::string json = encode_pointer(model);
    return sample_trust().verify_pointer(json, signatures_by({21}, json), kNow);
  }
  static RevocationList revocation_list(std::uint64_t sequence) {
    RevocationList list;
    list.product = "example-appliance";
    list.sequence = sequence;
    list.created = kNow;
    return list;
  }
  static void accept(TrustState& state, const RevocationList& list) {
    const std::string json = encode_revocations(list);
    const auto signatures = signatures_by({12, 13}, json);
    state.accept_revocations(sample_trust().verify_revocations(json, signatures, kNow), signatures);
  }
  // Root 2: release key 14 for 11 and 12, timestamp key 22 for 21.
  static std::string rotated_root() {
    RootMetadata next = next_root(sample_root(), kNow + 400 * kDay);
    add_key(next, role::kRelease, fixed_key(14).public_key());
    remove_key(next, role::kRelease, tuf_key_id(fixed_key(11).public_key().key));
    add_key(next, role::kRelease, fixed_key(15).public_key());
    remove_key(next, role::kRelease, tuf_key_id(fixed_key(12).public_key().key));
    add_key(next, role::kTimestamp, fixed_key(22).public_key());
    remove_key(next, role::kTimestamp, tuf_key_id(fixed_key(21).public_key().key));
    return sign_root_with(encode_root(next), {1, 3});
  }

  test::ScratchDirectory dir_;
};

TEST_F(TrustStateTest, NothingWithoutAPinnedRoot) {
  const TrustState state = open();
  EXPECT_FALSE(state.current());
  const Error error = expect_error(ErrorCode::no_trust, [&] { state.require_root(); });
  EXPECT_NE(error.hint().find("--trust"), std::string::npos);
  EXPECT_TRUE(state.chain().empty());
  EXPECT_FALSE(posix_file_system().status(dir_ / "trust"));  // looking writes nothing
}

TEST_F(TrustStateTest, PinSurvivesRestart) {
  pinned();
  EXPECT_EQ(open().require_root().fingerprint(), sample_trust().fingerprint());
  EXPECT_EQ(open().chain().size(), 1U);
}

TEST_F(TrustStateTest, BareKeySurvivesRestart) {
  open().pin(test::bare_trust(7));
  EXPECT_TRUE(open().require_root().is_bare_key());
  EXPECT_TRUE(open().require_root().matches(test::bare_trust(7).fingerprint()));
  EXPECT_TRUE(open().chain().empty());
  TrustState state = open();
  EXPECT_NO_THROW(state.pin(test::bare_trust(7)));
  expect_error(ErrorCode::wrong_key, [&] { state.pin(test::bare_trust(8)); });
  expect_error(ErrorCode::wrong_key, [&] { state.pin(sample_trust()); });
}

TEST_F(TrustStateTest, PinningAnotherRootIsRefused) {
  TrustState state = pinned();
  EXPECT_NO_THROW(state.pin(sample_trust()));
  RootMetadata other = sample_root();
  other.expires = kNow + 10 * kDay;
  const auto same_version = TrustRoot::parse(sign_root_with(encode_root(other), {1, 2}), "x");
  const Error error = expect_error(ErrorCode::wrong_key, [&] { state.pin(same_version); });
  EXPECT_NE(error.message().find(sample_trust().fingerprint()), std::string::npos);
  expect_error(ErrorCode::wrong_key, [&] { state.pin(test::bare_trust(1)); });
  RootMetadata foreign;
  foreign.version = 2;
  foreign.expires = kNow + kDay;
  add_key(foreign, role::kRoot, fixed_key(66).public_key());
  const auto attacker = TrustRoot::parse(sign_root_with(encode_root(foreign), {66}), "x");
  expect_error(ErrorCode::wrong_key, [&] { state.pin(attacker); });
  EXPECT_EQ(open().require_root().fingerprint(), sample_trust().fingerprint());
}

TEST_F(TrustStateTest, FollowsTheChainAndKeepsIt) {
  TrustState state = pinned();
  EXPECT_EQ(state.update_root(std::vector<RootFile>{{"2.root.json", rotated_root()}}).version(),
            2U);
  TrustState reopened = open();
  EXPECT_EQ(reopened.require_root().version(), 2U);
  ASSERT_EQ(reopened.chain().size(), 2U);
  EXPECT_EQ(sample_trust().update_all(reopened.chain()).version(), 2U);
  // The operator's command line still names the root that the site began with, or the newest one.
  EXPECT_NO_THROW(reopened.pin(sample_trust()));
  EXPECT_NO_THROW(reopened.pin(TrustRoot::parse(rotated_root(), "x")));
  EXPECT_EQ(reopened.require_root().version(), 2U);
}

TEST_F(TrustStateTest, PinMovesOneStepAlongTheChain) {
  TrustState state = pinned();
  state.pin(TrustRoot::parse(rotated_root(), "x"));
  EXPECT_EQ(open().require_root().version(), 2U);
}

TEST_F(TrustStateTest, BareKeyGrowsIntoAChain) {
  TrustState state = open();
  state.pin(test::bare_trust(1));
  state.update_root(std::vector<RootFile>{{"1", sample_root_json()}, {"2", rotated_root()}});
  TrustState reopened = open();
  EXPECT_EQ(reopened.require_root().version(), 2U);
  EXPECT_EQ(reopened.chain().size(), 2U);
  EXPECT_NO_THROW(reopened.pin(test::bare_trust(1)));
}

TEST_F(TrustStateTest, BrokenChainChangesNothing) {
  TrustState state = pinned();
  RootMetadata next = next_root(sample_root(), kNow + kDay);
  const std::string unsigned_root = sign_root_with(encode_root(next), {1});
  expect_error(ErrorCode::root_chain_broken, [&] {
    state.update_root(std::vector<RootFile>{{"2.root.json", unsigned_root}});
  });
  EXPECT_EQ(open().require_root().version(), 1U);
  expect_error(ErrorCode::no_trust,
               [&] { TrustState(posix_file_system(), dir_ / "other").update_root({}); });
}

TEST_F(TrustStateTest, CrashBetweenTheTwoRootFiles) {
  pinned();
  bundle::test::write_text(dir_ / "trust/2.root.json", rotated_root());
  TrustState state = open();
  EXPECT_EQ(state.require_root().version(), 1U);
  state.update_root(std::vector<RootFile>{{"2.root.json", rotated_root()}});
  EXPECT_EQ(open().require_root().version(), 2U);
}

TEST_F(TrustStateTest, RollbackIsRefusedAfterRestart) {
  pinned().accept_release(release("1.4.0", 7), false);
  TrustState state = open();
  const Error error =
      expect_error(ErrorCode::rollback, [&] { state.accept_release(release("1.3.0", 6), false); });
  EXPECT_NE(error.message().find("1.3.0"), std::string::npos);
  EXPECT_NE(error.message().find("1.4.0"), std::string::npos);
  EXPECT_NO_THROW(state.check_release(release("1.4.0", 7), false));
  EXPECT_NO_THROW(state.accept_release(release("1.5.0", 8), false));
  EXPECT_EQ(open().releases().at("example-appliance").number, 8U);
}

TEST_F(TrustStateTest, DeliberateRollbackToAnImportedRelease) {
  TrustState state = pinned();
  state.accept_release(release("1.4.0", 7), false);
  EXPECT_NO_THROW(state.accept_release(release("1.3.0", 6), true));
  // It does not lower the mark.
  EXPECT_EQ(open().releases().at("example-appliance").number, 7U);
  expect_error(ErrorCode::rollback, [&] { open().check_release(release("1.3.0", 6), false); });
}

TEST_F(TrustStateTest, OneNumberOneVersion) {
  TrustState state = pinned();
  state.accept_release(release("1.4.0", 7), false);
  EXPECT_NO_THROW(state.check_release(release("1.4.0", 7, kNow - 2 * kDay), false));
  expect_error(ErrorCode::rollback, [&] { state.check_release(release("1.4.1", 7), false); });
}

TEST_F(TrustStateTest, ProductsAreApart) {
  TrustState state = pinned();
  state.accept_release(release("1.4.0", 7), false);
  Statement other = sample_statement("1.0.0", 1);
  other.product = "other-appliance";
  EXPECT_NO_THROW(state.accept_release(test::verified(sample_trust(), other, {11, 12}), false));
  EXPECT_EQ(open().releases().size(), 2U);
}

TEST_F(TrustStateTest, ChannelSequence) {
  pinned().accept_pointer(pointer(5));
  TrustState state = open();
  expect_error(ErrorCode::rollback, [&] { state.accept_pointer(pointer(4)); });
  expect_error(ErrorCode::rollback, [&] { state.accept_pointer(pointer(5, "1.5.0")); });
  EXPECT_NO_THROW(state.accept_pointer(pointer(5)));
  EXPECT_NO_THROW(state.accept_pointer(pointer(6, "1.3.0")));  // promotion may go back, signed
  EXPECT_EQ(open().channels().at("example-appliance/stable").number, 6U);
}

TEST_F(TrustStateTest, TimeDoesNotGoBack) {
  TrustState state = pinned();
  EXPECT_EQ(state.effective_now(1000), 1000);
  state.accept_release(release("1.4.0", 7, kNow - 5), false);
  EXPECT_EQ(open().effective_now(0), kNow - 5);  // the battery is empty: the clock says 1970
  EXPECT_EQ(open().effective_now(kNow), kNow);
  EXPECT_EQ(open().site_time(0), 0);  // what time it is nobody knows then
  state.accept_release(release("1.3.0", 6, kNow - 500), true);
  EXPECT_EQ(open().time_floor(), kNow - 5);
}

// A thief signed release number 2^50, so that nothing newer would ever be accepted again. The
// vendor rotates the keys; the site forgets what only they vouched for.
TEST_F(TrustStateTest, RotationHealsFastForward) {
  TrustState state = pinned();
  state.accept_release(release("9.9.9", std::uint64_t{1} << 50, kNow + 300 * kDay), false);
  state.accept_pointer(pointer(std::uint64_t{1} << 50));
  EXPECT_GT(state.time_floor(), kNow);
  state.update_root(std::vector<RootFile>{{"2.root.json", rotated_root()}});
  TrustState reopened = open();
  EXPECT_TRUE(reopened.releases().empty());
  EXPECT_TRUE(reopened.channels().empty());
  EXPECT_EQ(reopened.time_floor(), 0);
}

TEST_F(TrustStateTest, RotationOfOtherKeysForgetsNothing) {
  TrustState state = pinned();
  state.accept_release(release("1.4.0", 7), false);
  RootMetadata next = next_root(sample_root(), kNow + 400 * kDay);
  add_key(next, role::kRelease, fixed_key(14).public_key());
  add_key(next, role::kRoot, fixed_key(4).public_key());
  const std::string root = sign_root_with(encode_root(next), {1, 2});
  state.update_root(std::vector<RootFile>{{"2.root.json", root}});
  EXPECT_EQ(open().releases().at("example-appliance").number, 7U);
}

TEST_F(TrustStateTest, RevokedReleaseByDigestAndByVersion) {
  TrustState state = pinned();
  const auto bad = release("1.4.0", 7);
  EXPECT_NO_THROW(state.check_revoked(bad));
  RevocationList list = revocation_list(1);
  list.releases = {{bad.digest(), "1.4.0", "broken migration"}};
  accept(state, list);
  const Error error = expect_error(ErrorCode::revoked, [&] { open().check_revoked(bad); });
  EXPECT_NE(error.message().find("broken migration"), std::string::npos);
  // The same release signed again has another digest.
  expect_error(ErrorCode::revoked,
               [&] { open().check_revoked(release("1.4.0", 7, kNow - 3 * kDay)); });
  EXPECT_NO_THROW(open().check_revoked(release("1.4.1", 8)));
}

TEST_F(TrustStateTest, RevokedKeyLeavesTooFewSigners) {
  TrustState state = pinned();
  RevocationList list = revocation_list(1);
  list.keys = {tuf_key_id(fixed_key(11).public_key().key)};
  accept(state, list);
  expect_error(ErrorCode::revoked, [&] { open().check_revoked(release("1.4.0", 7)); });
  const auto again = test::verified(sample_trust(), sample_statement(), {11, 12, 13});
  EXPECT_NO_THROW(open().check_revoked(again));
}

TEST_F(TrustStateTest, OlderRevocationListDoesNotReplaceANewerOne) {
  TrustState state = pinned();
  RevocationList list = revocation_list(5);
  list.releases = {{digest_of("x"), "1.4.0", ""}};
  accept(state, list);
  accept(state, revocation_list(4));
  expect_error(ErrorCode::rollback, [&] { accept(state, revocation_list(5)); });
  EXPECT_EQ(open().revocations("example-appliance"),
            parse_revocations(encode_revocations(list), "r"));
  accept(state, revocation_list(6));
  EXPECT_TRUE(open().revocations("example-appliance")->releases.empty());
  EXPECT_FALSE(open().revocations("other"));
}

TEST_F(TrustStateTest, DamagedFilesAreRefusedNotIgnored) {
  pinned().accept_release(release("1.4.0", 7), false);
  const std::string state = bundle::test::read_text(dir_ / "trust/state.json");
  for (const std::string& bad : {std::string(), std::string("{}"), state.substr(1), state + " "}) {
    bundle::test::write_text(dir_ / "trust/state.json", bad);
    const Error error = expect_error(ErrorCode::store_invalid, [&] { open(); });
    EXPECT_NE(error.message().find("state.json"), std::string::npos);
  }
  bundle::test::write_text(dir_ / "trust/state.json", state);
  EXPECT_NO_THROW(open());
  bundle::test::write_text(dir_ / "trust/root.json", encode_root(sample_root()));  // no signatures
  expect_error(ErrorCode::store_invalid, [&] { open(); });
}

}  // namespace
}  // namespace bundle::trust
