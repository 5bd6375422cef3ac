// Each attack of docs/threat-model.md, made from a valid release; the document and this table are
// compared.
#include <functional>

#include "codec/json.h"
#include "support/attack_table.h"
#include "trust/limits.h"
#include "trust_support.h"

namespace bundle::trust {
namespace {

using test::fixed_key;
using test::kDay;
using test::kNow;
using test::sample_carrier;
using test::sample_pointer;
using test::sample_root;
using test::sample_root_json;
using test::sample_statement;
using test::sample_trust;
using test::sign_root_with;
using test::signature_by;
using test::signatures_by;

// A site that is pinned to the vendor's root 1 and runs release 1.4.0, number 7.
class Site {
 public:
  Site() : state(posix_file_system(), dir_.path()) {
    state.pin(sample_trust());
    state.accept_release(verify(statement()), false);
    const std::string pointer = encode_pointer(sample_pointer(test::digest_of("s"), 5));
    state.accept_pointer(root().verify_pointer(pointer, signatures_by({21}, pointer), kNow));
  }

  static std::string statement(std::string version = "1.4.0", std::uint64_t number = 7) {
    return encode_statement(sample_statement(std::move(version), number));
  }
  const TrustRoot& root() const { return state.require_root(); }
  // The steps of an import.
  VerifiedRelease verify(const std::string& json, std::span<const SignatureFile> signatures,
                         UnixTime clock = kNow) const {
    auto release = root().verify_release(json, signatures, state.effective_now(clock));
    state.check_revoked(release);
    return release;
  }
  VerifiedRelease verify(const std::string& json) const {
    return verify(json, signatures_by({11, 12}, json));
  }
  void import(const std::string& json) { state.accept_release(verify(json), false); }
  void follow(const std::string& root_json) {
    state.update_root(std::vector<RootFile>{{"next.root.json", root_json}});
  }
  void point(const ChannelPointer& pointer, UnixTime clock = kNow) {
    const std::string json = encode_pointer(pointer);
    state.accept_pointer(
        root().verify_pointer(json, signatures_by({21}, json), state.effective_now(clock)));
  }
  void revoke(const RevocationList& list) {
    const std::string json = encode_revocations(list);
    const auto signatures = signatures_by({12, 13}, json);
    state.accept_revocations(root().verify_revocations(json, signatures, kNow), signatures);
  }
  // For a clock that is 1000 days ahead, and for a week of it.
  TimeStatement time_statement() const {
    return {state.site_id(), kNow, kNow + 1000 * kDay, kNow + 1007 * kDay};
  }
  void set_time(const TimeStatement& statement, std::initializer_list<int> keys = {1, 2},
                UnixTime clock = kNow + 1000 * kDay) {
    const std::string json = encode_time(statement);
    state.accept_time(root().verify_time(json, signatures_by(keys, json)), clock);
  }
  const Path& directory() const { return dir_.path(); }

 private:
  test::ScratchDirectory dir_;

 public:
  TrustState state;
};

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// A signature file whose algorithm letters are changed.
SignatureFile with_algorithm(const std::string& json, std::string_view letters) {
  SignatureFile file = signature_by(11, json);
  const std::size_t start = file.content.find('\n') + 1;
  const std::size_t size = file.content.find('\n', start) - start;
  Bytes line = *from_base64(file.content.substr(start, size));
  std::ranges::copy(as_bytes(letters), line.begin());
  file.content.replace(start, size, to_base64(line));
  return file;
}

RootMetadata rotated() {
  RootMetadata next = next_root(sample_root(), kNow + 400 * kDay);
  add_key(next, role::kRoot, fixed_key(4).public_key());
  add_key(next, role::kRoot, fixed_key(5).public_key());
  remove_key(next, role::kRoot, tuf_key_id(fixed_key(2).public_key().key));
  remove_key(next, role::kRoot, tuf_key_id(fixed_key(3).public_key().key));
  return next;
}

RevocationList revocations(std::uint64_t sequence) {
  RevocationList list;
  list.product = "example-appliance";
  list.sequence = sequence;
  list.created = kNow;
  return list;
}

// The sample root with root key 2's entry changed; signed by keys 1 and 2 as before.
std::string root_with_changed_key(const std::function<void(codec::Json&)>& change) {
  codec::Json document = codec::parse_json(encode_root(sample_root()), "test");
  codec::Json& body = document.as_object().find("signed")->second;
  codec::Json& keys = body.as_object().find("keys")->second;
  const std::string id = tuf_key_id(fixed_key(2).public_key().key);
  codec::Json key = keys.at(id);
  change(key);
  const std::string new_id = sha256(as_bytes(codec::canonical_json(key))).hex();
  keys.set(new_id, key);
  body.as_object().erase(std::string(kMinisignIdsMember));
  codec::Json& role =
      body.as_object().find("roles")->second.as_object().find(std::string(role::kRoot))->second;
  role.as_object().find("keyids")->second.push_back(new_id);
  const std::string message = codec::canonical_json(body);
  codec::Json signatures = codec::Json::array();
  const auto sign = [&](const std::string& key_id, int number) {
    codec::Json entry;
    entry.set("keyid", key_id);
    entry.set("sig", to_hex(fixed_key(number).key().sign(as_bytes(message))));
    signatures.push_back(entry);
  };
  sign(id, 2);
  sign(new_id, 2);
  document.set("signatures", signatures);
  return codec::dump_json(document);
}

struct Attack {
  std::string_view name;
  ErrorCode answer;
  std::function<void(Site&)> make;
  std::function<void(Site&)> before = [](Site&) {};  // what the vendor did until then
};

const std::vector<Attack>& attacks() {
  using enum ErrorCode;
  static const std::vector<Attack> table = {
      {"signed by a stranger", wrong_key,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         site.verify(json, signatures_by({98, 99}, json));
       }},
      {"signed by nobody", unsigned_release,
       [](Site& site) { site.verify(Site::statement("1.5.0", 8), {}); }},
      {"no pinned root", no_trust,
       [](Site& site) {
         const TrustState fresh(posix_file_system(), site.directory() / "fresh");
         const auto json = Site::statement("1.5.0", 8);
         fresh.require_root().verify_release(json, signatures_by({11, 12}, json), kNow);
       }},
      {"statement changed after signing", signature_invalid,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         site.verify(replaced(json, "1.5.0", "1.5.1"), signatures_by({11, 12}, json));
       }},
      {"trusted comment changed", signature_invalid,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         auto signatures = signatures_by({11, 12}, json);
         signatures[0].content =
             replaced(signatures[0].content, "trusted comment: test", "trusted comment: best");
         site.verify(json, signatures);
       }},
      {"stranger borrows a trusted key id", signature_invalid,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         MinisignSignature signature = fixed_key(99).sign(as_bytes(json), "c");
         signature.key_id = fixed_key(11).public_key().id;
         site.verify(json, std::vector<SignatureFile>{{"x.minisig", signature.text()}});
       }},
      {"threshold minus one", threshold_unmet,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         site.verify(json, signatures_by({11}, json));
       }},
      {"same key signs twice", threshold_unmet,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         site.verify(json, std::vector{signature_by(11, json, "a"), signature_by(11, json, "b")});
       }},
      {"same key listed twice in the root", root_invalid,
       [](Site&) {
         TrustRoot::parse(root_with_changed_key([](codec::Json& key) { key.set("twin", true); }),
                          "1.root.json");
       }},
      {"key of another role signs", wrong_key,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         site.verify(json, signatures_by({21, 31}, json));
       }},
      {"release key signs a carrier", wrong_key,
       [](Site& site) {
         const auto release = site.verify(Site::statement());
         const auto json = encode_carrier(sample_carrier(release.digest()));
         site.root().verify_carrier(json, signatures_by({11, 12}, json), release, kNow);
       }},
      {"algorithm confusion: prehashed signature", signature_malformed,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         site.verify(json, std::vector{with_algorithm(json, "ED")});
       }},
      {"algorithm confusion: unknown algorithm", signature_malformed,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         site.verify(json, std::vector{with_algorithm(json, "RS")});
       }},
      {"algorithm confusion: key declared as another type", root_invalid,
       [](Site&) {
         TrustRoot::parse(
             root_with_changed_key([](codec::Json& key) { key.set("scheme", "hmac-sha256"); }),
             "1.root.json");
       }},
      {"garbage instead of a signature", signature_malformed,
       [](Site& site) {
         const auto json = Site::statement("1.5.0", 8);
         auto signatures = signatures_by({11, 12}, json);
         signatures.push_back({"x.minisig", "garbage"});
         site.verify(json, signatures);
       }},
      {"one document offered as another", statement_invalid,
       [](Site& site) { site.verify(encode_revocations(revocations(1))); }},
      {"non-canonical JSON, signed", statement_invalid,
       [](Site& site) { site.verify(replaced(Site::statement("1.5.0", 8), ",", ", ")); }},
      {"duplicate keys in JSON, signed", statement_invalid,
       [](Site& site) {
         site.verify(replaced(Site::statement("1.5.0", 8), "\"release_number\":8",
                              "\"release_number\":8,\"release_number\":9"));
       }},
      {"traversal name, signed", statement_invalid,
       [](Site& site) { site.verify(replaced(Site::statement("1.5.0", 8), "1.5.0", "../../x")); }},
      {"homoglyph name, signed", statement_invalid,
       [](Site& site) {
         site.verify(replaced(Site::statement(), "example-appliance", "ex\u0430mple-appliance"));
       }},
      {"endless statement", limit,
       [](Site& site) { site.verify(std::string(kMaxStatementBytes + 1, ' ')); }},
      {"endless root", limit, [](Site& site) { site.follow(std::string(kMaxRootBytes + 1, ' ')); }},
      {"endless list of signatures", limit,
       [](Site& site) {
         site.verify(Site::statement(),
                     std::vector<SignatureFile>(kMaxSignatureFiles + 1, {"x", "garbage"}));
       }},
      {"deeply nested JSON", root_invalid,
       [](Site& site) { site.follow(std::string(kMaxRootBytes / 2, '[')); }},
      {"mix and match: carrier of another release", statement_mismatch,
       [](Site& site) {
         const auto release = site.verify(Site::statement("1.5.0", 8));
         const auto json = encode_carrier(sample_carrier(test::digest_of(Site::statement())));
         site.root().verify_carrier(json, signatures_by({31}, json), release, kNow);
       }},
      {"rollback: older release", rollback,
       [](Site& site) { site.import(Site::statement("1.3.0", 6)); }},
      {"rollback: another version with the same number", rollback,
       [](Site& site) { site.import(Site::statement("1.4.1", 7)); }},
      {"rollback: older channel pointer", rollback,
       [](Site& site) { site.point(sample_pointer(test::digest_of("s"), 4)); }},
      {"rollback: channel pointer replaced under its sequence", rollback,
       [](Site& site) {
         ChannelPointer pointer = sample_pointer(test::digest_of("old"), 5);
         pointer.release_version = "1.3.0";
         site.point(pointer);
       }},
      {"fast forward: a number past the last one", statement_invalid,
       [](Site& site) {
         const std::string json = replaced(Site::statement("9.9.9", 8), "\"release_number\":8",
                                           "\"release_number\":9007199254740992");
         site.import(json);
       }},
      {"fast forward: a huge number by keys that were taken away", wrong_key,
       [](Site& site) { site.import(Site::statement("9.9.9", std::uint64_t{1} << 50)); },
       [](Site& site) {
         RootMetadata next = next_root(sample_root(), kNow + 400 * kDay);
         for (const int number : {14, 15}) {
           add_key(next, role::kRelease, fixed_key(number).public_key());
         }
         for (const int number : {11, 12}) {
           remove_key(next, role::kRelease, tuf_key_id(fixed_key(number).public_key().key));
         }
         site.follow(sign_root_with(encode_root(next), {1, 2}));
       }},
      {"rollback by setting the clock back", expired,
       [](Site& site) {
         Statement old = sample_statement("1.5.0", 8);
         old.created = kNow - 500 * kDay;
         old.expires = kNow - 10 * kDay;
         const auto json = encode_statement(old);
         site.verify(json, signatures_by({11, 12}, json), kNow - 20 * kDay);
       }},
      {"freeze: channel pointer withheld", expired,
       [](Site& site) { site.point(sample_pointer(test::digest_of("s"), 5), kNow + 15 * kDay); }},
      {"freeze: old release offered for ever", expired,
       [](Site& site) {
         Statement statement = sample_statement();
         statement.expires = kNow;
         site.import(encode_statement(statement));
       }},
      {"stale root", expired,
       [](Site& site) {
         Statement statement = sample_statement();
         statement.expires = kNow + 1000 * kDay;
         const auto json = encode_statement(statement);
         site.verify(json, signatures_by({11, 12}, json), kNow + 365 * kDay);
       }},
      {"rotation signed by the new keys only", root_chain_broken,
       [](Site& site) {
         site.follow(sign_root_with(encode_root(rotated()), {4, 5}));
       }},
      {"rotation signed by the old keys only", root_chain_broken,
       [](Site& site) {
         site.follow(sign_root_with(encode_root(rotated()), {2, 3}));
       }},
      {"rotation with a missing link", root_chain_broken,
       [](Site& site) {
         const RootMetadata third = next_root(rotated(), kNow + 500 * kDay);
         site.follow(sign_root_with(encode_root(third), {1, 2, 3, 4, 5}));
       }},
      {"older root offered as the next", root_chain_broken,
       [](Site& site) { site.root().update(sample_root_json(), "1.root.json"); }},
      {"two roots with one version", root_invalid,
       [](Site& site) {
         const auto root = sign_root_with(encode_root(rotated()), {1, 2, 4});
         site.state.update_root(
             std::vector<RootFile>{{"a", root}, {"b", sign_root_with(root, {3})}});
       }},
      {"foreign root pinned over ours", wrong_key,
       [](Site& site) { site.state.pin(test::bare_trust(99)); }},
      {"revoked release", revoked,
       [](Site& site) {
         RevocationList list = revocations(1);
         list.releases = {{test::digest_of(Site::statement("1.5.0", 8)), "1.5.0", "bad"}};
         site.revoke(list);
         site.verify(Site::statement("1.5.0", 8));
       }},
      {"revoked release signed again", revoked,
       [](Site& site) {
         RevocationList list = revocations(1);
         list.releases = {{test::digest_of(Site::statement("1.5.0", 8)), "1.5.0", "bad"}};
         site.revoke(list);
         Statement again = sample_statement("1.5.0", 8);
         again.expires += kDay;
         site.verify(encode_statement(again));
       }},
      {"release signed by a revoked key", revoked,
       [](Site& site) {
         RevocationList list = revocations(1);
         list.keys = {tuf_key_id(fixed_key(11).public_key().key)};
         site.revoke(list);
         site.verify(Site::statement("1.5.0", 8));
       }},
      {"older revocation list", revoked,
       [](Site& site) {
         RevocationList list = revocations(2);
         list.releases = {{test::digest_of(Site::statement("1.5.0", 8)), "1.5.0", "bad"}};
         site.revoke(list);
         site.revoke(revocations(1));
         site.verify(Site::statement("1.5.0", 8));
       }},
      {"revocation list replaced under its number", rollback,
       [](Site& site) {
         site.revoke(revocations(2));
         RevocationList other = revocations(2);
         other.created += 1;
         site.revoke(other);
       }},
      {"revocation taken back with the revoked key", revoked,
       [](Site& site) {
         RevocationList list = revocations(1);
         list.keys = {tuf_key_id(fixed_key(12).public_key().key)};
         site.revoke(list);
         site.revoke(revocations(2));
       }},
      {"channel pointer signed by a revoked key", revoked,
       [](Site& site) {
         RevocationList list = revocations(1);
         list.keys = {tuf_key_id(fixed_key(21).public_key().key)};
         site.revoke(list);
         site.point(sample_pointer(test::digest_of("s"), 6));
       }},
      {"time statement signed by other roles", wrong_key,
       [](Site& site) {
         site.set_time(site.time_statement(), {11, 12, 21});
       }},
      {"time statement of one root key", threshold_unmet,
       [](Site& site) { site.set_time(site.time_statement(), {1}); }},
      {"time statement of another site", statement_mismatch,
       [](Site& site) {
         TimeStatement statement = site.time_statement();
         statement.site = std::string(32, '0');
         site.set_time(statement);
       }},
      {"time statement for another reading of the clock", expired,
       [](Site& site) {
         site.set_time(site.time_statement(), {1, 2}, kNow + 2000 * kDay);
       }},
      {"time statement older than what was accepted", rollback,
       [](Site& site) {
         TimeStatement statement = site.time_statement();
         statement.created = kNow - 30 * kDay;
         site.set_time(statement);
       }},
      {"time statement for years", statement_invalid,
       [](Site& site) {
         const auto json =
             replaced(encode_time(site.time_statement()), "until\":\"20", "until\":\"21");
         site.root().verify_time(json, signatures_by({1, 2}, json));
       }},
      {"time stopped by a time statement past its window", expired,
       [](Site& site) {
         site.set_time(site.time_statement());
         const auto json = Site::statement("1.5.0", 8);
         site.verify(json, signatures_by({11, 12}, json), kNow + 1008 * kDay);
       }},
      {"damaged memory of the site", store_invalid,
       [](Site& site) {
         bundle::test::write_text(site.directory() / "state.json", "");
         const TrustState reopened(posix_file_system(), site.directory());
       }},
      {"hostile key file: endless scrypt", limit,
       [](Site&) {
         const SecretBytes secret = fixed_key(1).text_unencrypted();
         std::string text(as_text(secret.view()));
         const std::size_t start = text.find('\n') + 1;
         Bytes file = *from_base64(text.substr(start, text.size() - start - 1));
         std::ranges::copy(as_bytes("Sc"), file.begin() + 2);
         store_le(file.data() + 38, UINT64_MAX);
         text = text.substr(0, start) + to_base64(file);
         MinisignSecretKey::parse(text, as_bytes("password"), "x.key");
       }},
  };
  return table;
}

TEST(Attack, EachIsRefusedWithItsCode) {
  for (const Attack& attack : attacks()) {
    SCOPED_TRACE(attack.name);
    Site site;
    attack.before(site);
    const std::string before = site.root().fingerprint();
    const Error error = test::expect_error(attack.answer, [&] { attack.make(site); });
    EXPECT_FALSE(error.hint().empty()) << error.message();
    EXPECT_EQ(site.root().fingerprint(), before);
  }
}

// The same steps let the honest vendor through: the attacks fail for their own reason.
TEST(Attack, HonestUpdatePasses) {
  Site site;
  site.import(Site::statement("1.5.0", 8));
  site.point(sample_pointer(test::digest_of("s"), 6));
  site.revoke(revocations(1));
  site.follow(sign_root_with(encode_root(rotated()), {1, 2, 4}));
  site.import(Site::statement("1.6.0", 9));
  EXPECT_EQ(site.root().version(), 2U);
  site.set_time(site.time_statement(), {1, 4});
  const auto json = Site::statement("1.7.0", 10);
  site.verify(json, signatures_by({11, 12}, json), kNow + 1001 * kDay);
}

TEST(Attack, TableInTheDocumentIsThisTable) {
  std::vector<std::string> tested;
  for (const Attack& attack : attacks()) {
    tested.push_back(bundle::testing::attack_row(attack.name, attack.answer));
  }
  EXPECT_EQ(bundle::testing::documented_attacks("documents"), tested);
}

}  // namespace
}  // namespace bundle::trust
