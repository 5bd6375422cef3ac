#include "crypto/ecdsa.h"

#include "crypto/secretbox.h"
#include "crypto/test_support.h"

namespace bundle {
namespace {

using test::expect_error;
using test::ScratchDirectory;

std::string text_of(const SecretBytes& secret) {
  return std::string(as_text(secret.view()));
}

TEST(Ecdsa, SignaturesHoldForOneMessageAndOneKey) {
  const EcdsaPrivateKey key = EcdsaPrivateKey::generate();
  const Bytes signature = key.sign(as_bytes("message"));
  EXPECT_LE(signature.size(), kMaxEcdsaSignature);
  EXPECT_TRUE(key.public_key().verifies(as_bytes("message"), signature));
  EXPECT_FALSE(key.public_key().verifies(as_bytes("messagf"), signature));
  EXPECT_FALSE(EcdsaPrivateKey::generate().public_key().verifies(as_bytes("message"), signature));
  for (std::size_t at = 0; at < signature.size(); ++at) {
    Bytes changed = signature;
    changed[at] ^= 1;
    EXPECT_FALSE(key.public_key().verifies(as_bytes("message"), changed)) << at;
  }
  EXPECT_FALSE(key.public_key().verifies(as_bytes("message"), {}));
}

TEST(Ecdsa, KeysGoThroughPem) {
  const EcdsaPrivateKey key = EcdsaPrivateKey::generate();
  const EcdsaPrivateKey again = EcdsaPrivateKey::parse_pem(key.pem().view(), {}, "key");
  EXPECT_EQ(again.public_key().pem(), key.public_key().pem());
  EXPECT_EQ(EcdsaPublicKey::parse_pem(key.public_key().pem(), "key").der(), key.public_key().der());
  expect_error(ErrorCode::key_invalid,
               [&] { EcdsaPublicKey::parse_pem(text_of(key.pem()), "key"); });
  expect_error(ErrorCode::key_invalid, [] { EcdsaPublicKey::parse_pem("", "key"); });
  expect_error(ErrorCode::key_invalid,
               [] { EcdsaPrivateKey::parse_pem(as_bytes("x"), {}, "key"); });
  expect_error(ErrorCode::key_invalid, [] { EcdsaPrivateKey::parse_der({}, "key"); });
}

TEST(Ecdsa, OpensslsOwnKeysFit) {
  if (!test::has_tool("openssl")) GTEST_SKIP() << "openssl is not installed";
  const ScratchDirectory dir;
  const std::string at = "cd '" + dir.path().string() + "'; ";
  const std::string make = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:";
  ASSERT_EQ(test::run_shell(
                at + make +
                "P-256 -out key.pem && openssl ec -in key.pem -out sec1.pem && "
                "openssl pkcs8 -topk8 -in key.pem -out locked.pem -passout pass:pw && "
                "openssl pkey -in key.pem -pubout -out key.pub && " +
                make + "P-384 -out p384.pem && openssl genpkey -algorithm ed25519 -out ed.pem"),
            0);
  const auto open = [&](const char* name, std::string_view password) {
    return EcdsaPrivateKey::parse_pem(as_bytes(test::read_text(dir / name)), as_bytes(password),
                                      name)
        .public_key()
        .pem();
  };
  const std::string expected = test::read_text(dir / "key.pub");
  EXPECT_EQ(open("key.pem", ""), expected);
  EXPECT_EQ(open("sec1.pem", ""), expected);
  EXPECT_EQ(open("locked.pem", "pw"), expected);
  expect_error(ErrorCode::password_wrong, [&] { open("locked.pem", "no"); });
  expect_error(ErrorCode::password_wrong, [&] { open("locked.pem", ""); });
  expect_error(ErrorCode::key_invalid, [&] { open("p384.pem", ""); });
  expect_error(ErrorCode::key_invalid, [&] { open("ed.pem", ""); });
}

// RFC 7914 section 12.
TEST(Scrypt, GivesTheTestVector) {
  const SecretBytes out = scrypt(as_bytes("password"), as_bytes("NaCl"), {1024, 8, 16}, 64, "test");
  EXPECT_EQ(
      to_hex(out.view()),
      "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d98"
      "30dac727afb94a83ee6d8360cbdfa2cc0640");
}

TEST(Scrypt, RefusesWhatIsNoScryptOrTooMuch) {
  for (const ScryptParams& params :
       {ScryptParams{}, ScryptParams{3, 8, 1}, ScryptParams{1, 8, 1}, ScryptParams{1024, 0, 1},
        ScryptParams{1024, 8, 0}, ScryptParams{1024, 8, 17}, ScryptParams{1ull << 21, 8, 1},
        ScryptParams{1ull << 63, 1u << 31, 1}}) {
    expect_error(ErrorCode::limit, [&] { scrypt({}, {}, params, 32, "test"); });
  }
}

TEST(Secretbox, WrongSizesOpenNothing) {
  const Bytes box(16, 0), nonce(kSecretboxNonceSize, 0), key(kSecretboxKeySize, 0);
  EXPECT_FALSE(open_secretbox(box, nonce, key));
  EXPECT_FALSE(open_secretbox(Bytes(64, 0), nonce, key));
  EXPECT_FALSE(open_secretbox(Bytes(64, 0), {}, key));
  EXPECT_FALSE(open_secretbox(Bytes(64, 0), nonce, {}));
}

}  // namespace
}  // namespace bundle
