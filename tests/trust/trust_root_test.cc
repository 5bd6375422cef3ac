// Reading and verifying trust roots and their chains.
#include "trust/trust_root.h"

#include <functional>

#include "codec/json.h"
#include "trust/limits.h"
#include "trust_support.h"

namespace bundle::trust {
namespace {

using codec::Json;
using test::expect_error;
using test::fixed_key;
using test::kDay;
using test::kNow;
using test::sample_root;
using test::sample_root_json;
using test::sample_trust;
using test::sign_root_with;

// Edits the signed part and signs again, so that only the edit is wrong.
std::string changed_root(const std::function<void(Json&)>& change) {
  Json document = codec::parse_json(sample_root_json(), "test");
  change(document.as_object().find("signed")->second);
  const std::string message = codec::canonical_json(document.at("signed"));
  for (Json& entry : document.as_object().find("signatures")->second.as_array()) {
    for (const int number : {1, 2}) {
      const MinisignSecretKey key = fixed_key(number);
      if (entry.at("keyid").as_string() != tuf_key_id(key.public_key().key)) continue;
      entry.set("sig", to_hex(key.key().sign(as_bytes(message))));
    }
  }
  return codec::dump_json(document);
}

void refuse_root(const std::function<void(Json&)>& change) {
  const std::string root = changed_root(change);
  expect_error(ErrorCode::root_invalid, [&] { TrustRoot::parse(root, "1.root.json"); });
}

Json& member(Json& object, std::string_view name) {
  return object.as_object().find(name)->second;
}

TEST(TrustRoot, ReadsWhatTheBuilderWrites) {
  const TrustRoot root = sample_trust();
  EXPECT_EQ(root.metadata(), sample_root());
  EXPECT_EQ(root.version(), 1U);
  EXPECT_FALSE(root.is_bare_key());
  EXPECT_EQ(TrustRoot::load(sample_root_json(), "x").fingerprint(), root.fingerprint());
}

// The key id of TUF (securesystemslib computes the same) for the RFC 8032 test key 1.
TEST(TrustRoot, KeyIdIsTheHashOfTheCanonicalKey) {
  Ed25519PublicKey key{};
  const Bytes bytes = *from_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  std::ranges::copy(bytes, key.begin());
  EXPECT_EQ(tuf_key_id(key),
            sha256(as_bytes("{\"keytype\":\"ed25519\",\"keyval\":{\"public\":"
                            "\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"},"
                            "\"scheme\":\"ed25519\"}"))
                .hex());
}

TEST(TrustRoot, BareKeyMaySignEverything) {
  const TrustRoot root = test::bare_trust(7);
  EXPECT_TRUE(root.is_bare_key());
  EXPECT_FALSE(root.metadata().expires);
  EXPECT_EQ(root.metadata().roles.size(), 4U);
  for (const auto& [name, role] : root.metadata().roles) {
    EXPECT_EQ(role.threshold, 1U);
    EXPECT_EQ(role.key_ids, std::vector{tuf_key_id(fixed_key(7).public_key().key)}) << name;
  }
  EXPECT_TRUE(TrustRoot::load(fixed_key(7).public_key().text(), "x").is_bare_key());
  expect_error(ErrorCode::key_invalid, [] { TrustRoot::load("hello", "x"); });
}

TEST(TrustRoot, FingerprintMatchesWholeOrNot) {
  const TrustRoot root = sample_trust();
  const std::string spoken = root.fingerprint();
  EXPECT_EQ(spoken.size(), 64U + 15U);
  std::string plain = spoken;
  std::erase(plain, ' ');
  std::string upper = plain;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  std::string other = plain;
  other[63] = other[63] == '0' ? '1' : '0';
  EXPECT_TRUE(root.matches(spoken));
  EXPECT_TRUE(root.matches(plain));
  EXPECT_TRUE(root.matches(upper));
  EXPECT_TRUE(root.matches(plain.substr(0, 32) + ":" + plain.substr(32) + "\n"));
  EXPECT_TRUE(root.matches(plain.substr(0, 32) + "-" + plain.substr(32)));
  for (const std::string& bad : {std::string(), plain.substr(0, 63), plain.substr(0, 16),
                                 plain + "0", plain.substr(1), other, std::string(64, 'g')}) {
    EXPECT_FALSE(root.matches(bad)) << bad;
  }
  // It covers what is signed, not who has signed.
  const auto all = TrustRoot::parse(sign_root_with(sample_root_json(), {3}), "x");
  EXPECT_TRUE(all.matches(plain));
  EXPECT_TRUE(test::bare_trust(7).matches(tuf_key_id(fixed_key(7).public_key().key)));
}

TEST(TrustRoot, FindRootByFingerprint) {
  const std::vector<RootFile> files = {{"junk", "no root"},
                                       {"unsigned", encode_root(sample_root())},
                                       {"vendor.pub", fixed_key(7).public_key().text()},
                                       {"1.root.json", sample_root_json()}};
  EXPECT_EQ(find_root(files, sample_trust().fingerprint())->version(), 1U);
  EXPECT_TRUE(find_root(files, test::bare_trust(7).fingerprint())->is_bare_key());
  EXPECT_FALSE(find_root(files, test::bare_trust(8).fingerprint()));
  EXPECT_FALSE(find_root(files, ""));
}

TEST(TrustRoot, OwnThresholdIsDemanded) {
  const std::string none = encode_root(sample_root());
  expect_error(ErrorCode::root_invalid, [&] { TrustRoot::parse(none, "r"); });
  const std::string one = sign_root_with(none, {1});
  expect_error(ErrorCode::root_invalid, [&] { TrustRoot::parse(one, "r"); });
  const std::string foreign = sign_root_with(none, {1, 11, 31});
  expect_error(ErrorCode::root_invalid, [&] { TrustRoot::parse(foreign, "r"); });
  EXPECT_NO_THROW(TrustRoot::parse(sign_root_with(one, {3}), "r"));
}

TEST(TrustRoot, EveryFlippedByteIsNoticed) {
  const std::string root = sample_root_json();
  const std::string fingerprint = sample_trust().fingerprint();
  bundle::test::for_each_flip(root, [&](const std::string& changed, std::size_t at) {
    try {
      // Whatever still verifies says the same thing (white space between tokens).
      EXPECT_EQ(TrustRoot::parse(changed, "r").fingerprint(), fingerprint) << at;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::root_invalid || error.code() == ErrorCode::unsupported)
          << at << error.message();
    }
  });
}

TEST(TrustRoot, SameKeyTwiceCountsOnce) {
  // Under one key id: refused, as in TUF.
  Json document = codec::parse_json(sign_root_with(encode_root(sample_root()), {1}), "test");
  Json& signatures = member(document, "signatures");
  signatures.push_back(Json(signatures.as_array().front()));
  expect_error(ErrorCode::root_invalid, [&] { TrustRoot::parse(codec::dump_json(document), "r"); });

  // Under two key ids, by a member that other readers ignore: counts once.
  const std::string hex = to_hex(fixed_key(1).public_key().key);
  const Json twin = codec::parse_json("{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"" + hex +
                                          "\"},\"note\":\"twin\",\"scheme\":\"ed25519\"}",
                                      "test");
  const std::string twin_id = sha256(as_bytes(codec::canonical_json(twin))).hex();
  Json body = codec::parse_json(encode_root(sample_root()), "test").at("signed");
  member(body, "keys").set(twin_id, twin);
  member(member(member(body, "roles"), "root"), "keyids").push_back(twin_id);
  const std::string message = codec::canonical_json(body);
  const std::string signature = to_hex(fixed_key(1).key().sign(as_bytes(message)));
  Json list = Json::array();
  for (const std::string& id : {tuf_key_id(fixed_key(1).public_key().key), twin_id}) {
    Json entry;
    entry.set("keyid", id);
    entry.set("sig", signature);
    list.push_back(entry);
  }
  Json twins;
  twins.set("signed", body);
  twins.set("signatures", list);
  const Error error = expect_error(ErrorCode::root_invalid,
                                   [&] { TrustRoot::parse(codec::dump_json(twins), "r"); });
  EXPECT_NE(error.message().find("signed by 1"), std::string::npos) << error.message();
}

TEST(TrustRoot, MalformedRootsAreRefused) {
  EXPECT_NO_THROW(TrustRoot::parse(changed_root([](Json&) {}), "r"));
  for (const char* name : {"_type", "spec_version", "version", "expires", "keys", "roles"}) {
    refuse_root([&](Json& body) { body.as_object().erase(name); });
    for (const Json& wrong : {Json(), Json(true), Json(0), Json(-1), Json("x"), Json::array()}) {
      refuse_root([&](Json& body) { body.set(name, wrong); });
    }
  }
  refuse_root([](Json& body) { body.set("_type", "timestamp"); });
  for (const char* version : {"", "1", "1.", "x.0", "1.0-beta", "123456789012345678901.0"}) {
    refuse_root([&](Json& body) { body.set("spec_version", version); });
  }
  const std::string later = changed_root([](Json& body) { body.set("spec_version", "2.0.0"); });
  expect_error(ErrorCode::unsupported, [&] { TrustRoot::parse(later, "r"); });
  refuse_root([](Json& body) { body.set("version", kMaxJsonNumber + 1); });
  refuse_root([](Json& body) { body.set("expires", "tomorrow"); });
  refuse_root([](Json& body) { member(body, "roles").as_object().erase("root"); });
  const auto root_role = [](Json& body) -> Json& { return member(member(body, "roles"), "root"); };
  refuse_root([&](Json& body) { root_role(body).set("threshold", 0); });
  refuse_root([&](Json& body) { root_role(body).set("threshold", -1); });
  refuse_root([&](Json& body) { root_role(body).set("threshold", 4); });
  refuse_root([&](Json& body) { root_role(body).set("keyids", Json::array()); });
  refuse_root(
      [&](Json& body) { member(root_role(body), "keyids").push_back(std::string(64, 'a')); });
  refuse_root([&](Json& body) {
    Json& ids = member(root_role(body), "keyids");
    ids.push_back(Json(ids.as_array().front()));
  });
  refuse_root([](Json& body) {
    // Someone else's key under the id of a trusted one.
    member(body, "keys")
        .as_object()
        .begin()
        ->second.as_object()
        .find("keyval")
        ->second.set("public", to_hex(fixed_key(99).public_key().key));
  });
  refuse_root(
      [](Json& body) { member(body, kMinisignIdsMember).set("nobody", "0101010101010101"); });
  refuse_root([](Json& body) {
    member(body, kMinisignIdsMember).as_object().begin()->second = Json("xyz");
  });
}

TEST(TrustRoot, MalformedTextIsRefused) {
  const std::string root = sample_root_json();
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("[]"), std::string("{\"signed\":{}}"),
        root.substr(0, root.size() / 2), root + "x",
        std::string("{\"signatures\":{},\"signed\":{}}"),
        "{\"signatures\":" + std::string(1000, '[') + std::string(1000, ']') + ",\"signed\":{}}"}) {
    expect_error(ErrorCode::root_invalid, [&] { TrustRoot::parse(bad, "r"); });
  }
  expect_error(ErrorCode::limit,
               [] { TrustRoot::parse(std::string(kMaxRootBytes + 1, ' '), "r"); });
}

// TUF: what a client cannot use it passes over; it never counts.
TEST(TrustRoot, KeysOfOtherTypesArePassedOver) {
  const Json rsa = codec::parse_json(
      "{\"keytype\":\"rsa\",\"keyval\":{\"public\":\"-----BEGIN PUBLIC KEY-----\"},"
      "\"scheme\":\"rsassa-pss-sha256\"}",
      "test");
  const std::string id = sha256(as_bytes(codec::canonical_json(rsa))).hex();
  const std::string root = changed_root([&](Json& body) {
    member(body, "keys").set(id, rsa);
    member(member(member(body, "roles"), "root"), "keyids").push_back(id);
  });
  EXPECT_FALSE(TrustRoot::parse(root, "r").metadata().keys.contains(id));
}

class Chain : public testing::Test {
 protected:
  // Root 2 takes key 4 in for key 1; root 3 moves to keys 4 and 5; root 4 changes dates only.
  Chain() {
    RootMetadata second = next_root(sample_root(), kNow + 400 * kDay);
    add_key(second, role::kRoot, fixed_key(4).public_key());
    remove_key(second, role::kRoot, tuf_key_id(fixed_key(1).public_key().key));
    RootMetadata third = next_root(second, kNow + 500 * kDay);
    add_key(third, role::kRoot, fixed_key(5).public_key());
    remove_key(third, role::kRoot, tuf_key_id(fixed_key(2).public_key().key));
    remove_key(third, role::kRoot, tuf_key_id(fixed_key(3).public_key().key));
    const RootMetadata fourth = next_root(third, kNow + 600 * kDay);
    metadata_ = {second, third, fourth};
    files_ = {{"1.root.json", sample_root_json()},
              {"2.root.json", sign_root_with(encode_root(second), {1, 2, 4})},
              {"3.root.json", sign_root_with(encode_root(third), {2, 4, 5})},
              {"4.root.json", sign_root_with(encode_root(fourth), {4, 5})}};
  }
  Error broken(std::vector<RootFile> files) {
    return expect_error(ErrorCode::root_chain_broken, [&] { sample_trust().update_all(files); });
  }

  std::vector<RootMetadata> metadata_;
  std::vector<RootFile> files_;
};

TEST_F(Chain, CatchesUpInAnyOrder) {
  EXPECT_EQ(sample_trust().update_all(files_).version(), 4U);
  std::ranges::reverse(files_);
  EXPECT_EQ(sample_trust().update_all(files_).version(), 4U);
  EXPECT_EQ(sample_trust().newer_roots(files_).size(), 3U);
  EXPECT_EQ(sample_trust().update_all({}).version(), 1U);
  files_.push_back(files_.front());  // the same file twice is no harm
  EXPECT_EQ(sample_trust().update_all(files_).version(), 4U);
}

TEST_F(Chain, ExpiryOfLinksBetweenDoesNotMatter) {
  RootMetadata second = metadata_[0];
  second.expires = kNow - kDay;
  files_[1].content = sign_root_with(encode_root(second), {1, 2, 4});
  EXPECT_EQ(sample_trust().update_all(files_).version(), 4U);
}

TEST_F(Chain, MissingLinkIsNamed) {
  files_.erase(files_.begin() + 2);
  const Error error = broken(files_);
  EXPECT_NE(error.message().find("from trust root 2 to 3"), std::string::npos) << error.message();
}

TEST_F(Chain, OnlyNewKeys) {
  files_[2].content = sign_root_with(encode_root(metadata_[1]), {4, 5});
  const Error error = broken(files_);
  EXPECT_NE(error.message().find("from trust root 2 to 3"), std::string::npos) << error.message();
  EXPECT_NE(error.message().find("signed by 1 root keys of version 2"), std::string::npos)
      << error.message();
}

TEST_F(Chain, OnlyOldKeys) {
  files_[2].content = sign_root_with(encode_root(metadata_[1]), {2, 3});
  const Error error = broken(files_);
  EXPECT_NE(error.message().find("own root keys"), std::string::npos) << error.message();
}

TEST_F(Chain, ForeignChain) {
  RootMetadata foreign;
  foreign.version = 2;
  foreign.expires = kNow + kDay;
  add_key(foreign, role::kRoot, fixed_key(66).public_key());
  files_[1].content = sign_root_with(encode_root(foreign), {66});
  broken(files_);
}

TEST_F(Chain, ExactlyTheNextVersion) {
  expect_error(ErrorCode::root_chain_broken,
               [&] { sample_trust().update(files_[2].content, "3.root.json"); });
  expect_error(ErrorCode::root_chain_broken,
               [&] { sample_trust().update(files_[0].content, "1.root.json"); });
}

TEST_F(Chain, TwoRootsWithOneVersion) {
  files_.push_back({"other.json", sign_root_with(files_[3].content, {2})});
  expect_error(ErrorCode::root_invalid, [&] { sample_trust().update_all(files_); });
}

TEST_F(Chain, TooMany) {
  files_.resize(kMaxRootChain + 1, files_.front());
  expect_error(ErrorCode::limit, [&] { sample_trust().update_all(files_); });
}

TEST_F(Chain, BareKeyFollowsTheRootThatItSigned) {
  EXPECT_EQ(test::bare_trust(1).update_all(files_).version(), 4U);
  // Another key of the vendor, or another vendor's chain on the same medium: nothing to follow.
  EXPECT_TRUE(test::bare_trust(11).update_all(files_).is_bare_key());
}

TEST_F(Chain, BareKeyThenBrokenChain) {
  for (const int missing : {0, 1}) {
    std::vector<RootFile> files = files_;
    files.erase(files.begin() + missing);
    expect_error(ErrorCode::root_chain_broken, [&] { test::bare_trust(1).update_all(files); });
  }
}

}  // namespace
}  // namespace bundle::trust
