#include "crypto/minisign.h"

#include <fmt/format.h>

#include "crypto/test_support.h"

namespace bundle {
namespace {

using test::expect_error;
using test::fixed_key;

// Made by minisign 0.11: `minisign -G -W`, then `minisign -S -l -t "release 1.0.0"` of "hello\n".
// Fixed here so that the formats are tested where minisign is not installed.
constexpr std::string_view kGoldenPublic =
    "untrusted comment: minisign public key BC8B825EDE3DC257\n"
    "RWRXwj3eXoKLvLGu5c1iv8RUQvlc/heX1dfp1+0heg1l4XgwjvyJyfUQ\n";
constexpr std::string_view kGoldenSecret =
    "untrusted comment: minisign encrypted secret key\n"
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAV8I93l6Ci7xqDwOtke7LM1"
    "VIpD9vllqnks+OoqEgPru6nEbiSh1zcLGu5c1iv8RUQvlc/"
    "heX1dfp1+0heg1l4XgwjvyJyfUQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
constexpr std::string_view kGoldenSignature =
    "untrusted comment: signature from minisign secret key\n"
    "RWRXwj3eXoKLvFJDEGWBLO+K/6s9WhYX+qhfDcQbJi/"
    "z+D4WArS1vFOb6sss6NZ+MZcX9IZ46HWLvEa6fQbvyhUYXuA6PI+S8AM=\n"
    "trusted comment: release 1.0.0\n"
    "ZLlBNEREH+vEuyOmbSBXfOFfCPKPd59qS4iyqroYzxKiMF4CILSPM+aieZVQxSI5XDqXawQEd7pyEgsSTK3IDg==\n";

TEST(Minisign, ReadsGoldenFiles) {
  const auto public_key = MinisignPublicKey::parse(kGoldenPublic, "golden.pub");
  EXPECT_EQ(public_key.text(), kGoldenPublic);
  const auto secret_key = MinisignSecretKey::parse(kGoldenSecret, {}, "golden.key");
  EXPECT_EQ(secret_key.public_key(), public_key);
  const auto signature = MinisignSignature::parse(kGoldenSignature, "golden.minisig");
  EXPECT_EQ(signature.text(), kGoldenSignature);
  EXPECT_EQ(signature.key_id, public_key.id);
  EXPECT_EQ(signature.trusted_comment, "release 1.0.0");
  EXPECT_TRUE(signature.verifies(public_key.key, as_bytes("hello\n")));
  EXPECT_TRUE(signature.comment_verifies(public_key.key));
  EXPECT_FALSE(signature.verifies(public_key.key, as_bytes("hello")));
  // Ed25519 is deterministic: signing again gives minisign's own bytes.
  const auto again = secret_key.sign(as_bytes("hello\n"), "release 1.0.0");
  EXPECT_EQ(again.signature, signature.signature);
  EXPECT_EQ(again.global_signature, signature.global_signature);
}

TEST(Minisign, PublicKeyRoundTrip) {
  const MinisignPublicKey key = fixed_key(9).public_key();
  EXPECT_EQ(MinisignPublicKey::parse(key.text(), "k"), key);
  EXPECT_EQ(MinisignPublicKey::parse(key.base64(), "k"), key);
  EXPECT_EQ(MinisignPublicKey::parse(key.base64() + "\n", "k"), key);
  EXPECT_EQ(MinisignKeyId::parse(key.id.text()), key.id);
  for (const char* bad : {"", "0", "090909090909090g", "09090909090909099", "abcdefabcdefabcd"}) {
    EXPECT_FALSE(MinisignKeyId::parse(bad)) << bad;
  }
}

TEST(Minisign, BadPublicKeysAreRefused) {
  const MinisignPublicKey key = fixed_key(9).public_key();
  const std::string text = key.text();
  const std::string base64 = key.base64();
  Bytes prehashed = *from_base64(base64);
  prehashed[1] = 'D';
  for (const std::string& bad :
       {std::string(), std::string("\n"), text.substr(0, text.size() - 5), text + "more\n",
        base64.substr(4), base64 + "AAAA", "untrusted comment: x\r\n" + base64 + "\r\n",
        std::string("untrusted comment: only\n"),
        "untrusted comment: " + std::string(1025, 'c') + "\n" + base64, std::string(100'000, 'A'),
        to_base64(prehashed)}) {
    expect_error(ErrorCode::key_invalid, [&] { MinisignPublicKey::parse(bad, "bad.pub"); });
  }
}

TEST(Minisign, SignatureRoundTripAndComment) {
  const MinisignSecretKey key = fixed_key(3);
  const MinisignSignature signature = key.sign(as_bytes("message"), "release 1.4.0 number 7");
  const auto read = MinisignSignature::parse(signature.text(), "s");
  EXPECT_EQ(read.text(), signature.text());
  EXPECT_TRUE(read.verifies(key.key().public_key(), as_bytes("message")));
  EXPECT_TRUE(read.comment_verifies(key.key().public_key()));
  MinisignSignature changed = read;
  changed.trusted_comment = "release 1.4.1 number 7";
  EXPECT_FALSE(changed.comment_verifies(key.key().public_key()));
  for (const std::string& bad : {std::string("two\nlines"), std::string("\x07"), std::string("é"),
                                 std::string(kMaxTrustedComment + 1, 'x')}) {
    expect_error(ErrorCode::usage, [&] { key.sign({}, bad); });
  }
}

TEST(Minisign, PrehashedSignatureIsRefusedByName) {
  MinisignSignature signature = fixed_key(3).sign(as_bytes("m"), "c");
  std::string text = signature.text();
  const std::size_t start = text.find('\n') + 1;
  Bytes line = *from_base64(text.substr(start, text.find('\n', start) - start));
  line[1] = 'D';
  text.replace(start, text.find('\n', start) - start, to_base64(line));
  const Error error = expect_error(ErrorCode::signature_malformed,
                                   [&] { MinisignSignature::parse(text, "x.minisig"); });
  EXPECT_NE(error.message().find("prehashed"), std::string::npos);
  EXPECT_NE(error.hint().find("-l"), std::string::npos);
  EXPECT_NE(error.message().find("x.minisig"), std::string::npos);
}

// Any changed byte gives an unreadable file or one that does not verify, except in the untrusted
// comment and the key id, which nothing protects.
TEST(Minisign, EveryFlippedByteOfASignatureIsNoticed) {
  const MinisignSecretKey key = fixed_key(3);
  const MinisignSignature original = key.sign(as_bytes("message"), "trusted words");
  std::size_t accepted = 0;
  test::for_each_flip(original.text(), [&](const std::string& changed, std::size_t at) {
    try {
      const auto read = MinisignSignature::parse(changed, "x");
      const bool holds = read.verifies(key.key().public_key(), as_bytes("message")) &&
                         read.comment_verifies(key.key().public_key());
      const bool unprotected =
          read.untrusted_comment != original.untrusted_comment || read.key_id != original.key_id;
      EXPECT_EQ(holds, unprotected) << at;
      accepted += holds ? 1 : 0;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::signature_malformed) << at;
    }
  });
  EXPECT_GT(accepted, 0U);  // the untrusted comment can be changed: the sweep did reach parse
}

TEST(Minisign, BadSignatureFilesAreRefused) {
  const std::string text = fixed_key(3).sign(as_bytes("m"), "c").text();
  const auto cut_line = [&](int count) {
    std::size_t at = 0;
    for (int i = 0; i < count; ++i) at = text.find('\n', at) + 1;
    return text.substr(0, at);
  };
  std::string windows = text;
  windows.insert(windows.find('\n'), "\r");
  std::string nul = text;
  nul[5] = '\0';
  for (const std::string& bad :
       {std::string(), cut_line(1), cut_line(2), cut_line(3), text + "\n", text + text, windows,
        nul, text.substr(1), std::string(kMaxMinisignFileBytes + 1, 'a'),
        std::string("untrusted comment: a\nQUJD\ntrusted comment: b\nQUJD\n")}) {
    expect_error(ErrorCode::signature_malformed, [&] { MinisignSignature::parse(bad, "x"); });
  }
}

TEST(MinisignSecretKey, UnencryptedRoundTrip) {
  const MinisignSecretKey key = MinisignSecretKey::generate();
  const SecretBytes text = key.text_unencrypted();
  EXPECT_FALSE(MinisignSecretKey::is_encrypted(as_text(text.view()), "k"));
  EXPECT_EQ(MinisignSecretKey::parse(as_text(text.view()), {}, "k").public_key(), key.public_key());
  EXPECT_NE(MinisignSecretKey::generate().public_key(), key.public_key());
}

TEST(MinisignSecretKey, EncryptedRoundTrip) {
  const MinisignSecretKey key = MinisignSecretKey::generate();
  const SecretBytes text = key.text_encrypted(as_bytes("pass word"));
  EXPECT_TRUE(MinisignSecretKey::is_encrypted(as_text(text.view()), "k"));
  EXPECT_EQ(MinisignSecretKey::parse(as_text(text.view()), as_bytes("pass word"), "k").public_key(),
            key.public_key());
  for (const std::string_view wrong : {"", "Pass word", "pass word "}) {
    expect_error(ErrorCode::password_wrong,
                 [&] { MinisignSecretKey::parse(as_text(text.view()), as_bytes(wrong), "k"); });
  }
  expect_error(ErrorCode::usage, [&] { key.text_encrypted({}); });
}

TEST(MinisignSecretKey, DamagedKeyIsRefused) {
  const SecretBytes secret = fixed_key(1).text_unencrypted();
  const std::string text(as_text(secret.view()));
  std::size_t tried = 0;
  test::for_each_flip(text, [&](const std::string& changed, std::size_t at) {
    if (at < text.find('\n')) return;  // the comment says nothing
    try {
      const auto read = MinisignSecretKey::parse(changed, {}, "k");
      // Salt, cost and key id mean nothing to the key itself.
      EXPECT_EQ(read.public_key().key, fixed_key(1).public_key().key) << at;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::key_invalid ||
                  error.code() == ErrorCode::password_wrong)
          << at;
      ++tried;
    }
  });
  EXPECT_GT(tried, 100U);
}

// A hostile key file must not make the tool take all memory or run for days.
TEST(MinisignSecretKey, ScryptCostIsLimited) {
  const SecretBytes secret = fixed_key(1).text_unencrypted();
  const std::string text(as_text(secret.view()));
  const std::size_t start = text.find('\n') + 1;
  Bytes file = *from_base64(text.substr(start, text.size() - start - 1));
  file[2] = 'S';
  file[3] = 'c';
  const auto with_cost = [&](std::uint64_t ops, std::uint64_t memory) {
    store_le(file.data() + 38, ops);
    store_le(file.data() + 46, memory);
    return text.substr(0, start) + to_base64(file) + "\n";
  };
  for (const std::string& bad :
       {with_cost(kMaxScryptOps + 1, 1 << 24), with_cost(1 << 20, kMaxScryptMemory + 1),
        with_cost(UINT64_MAX, UINT64_MAX)}) {
    expect_error(ErrorCode::limit, [&] { MinisignSecretKey::parse(bad, as_bytes("p"), "k"); });
  }
}

}  // namespace
}  // namespace bundle
