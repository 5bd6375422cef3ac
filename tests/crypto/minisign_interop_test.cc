// Both ways with the real minisign, signify and openssl, where they are installed.
#include <fmt/format.h>

#include "crypto/minisign.h"
#include "crypto/signer.h"
#include "crypto/test_support.h"

namespace bundle {
namespace {

using test::has_tool;
using test::read_text;
using test::run_shell;
using test::ScratchDirectory;
using test::write_text;

class MinisignInterop : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_tool("minisign")) GTEST_SKIP() << "minisign is not installed";
    write_text(dir_ / "statement.json", "{\"_type\":\"release\"}");
  }
  int run(const std::string& command) const {
    return run_shell(fmt::format("cd '{}' && {}", dir_.path().string(), command));
  }

  ScratchDirectory dir_;
};

TEST_F(MinisignInterop, StockMinisignAcceptsOurSignature) {
  const MinisignSecretKey key = MinisignSecretKey::generate();
  write_key_pair(posix_file_system(), dir_ / "ours", key, {});
  const auto signature = key.sign(as_bytes(read_text(dir_ / "statement.json")), "release 1.4.0");
  write_text(dir_ / "statement.json.minisig", signature.text());
  EXPECT_EQ(run("minisign -V -p ours.pub -m statement.json"), 0);
  EXPECT_EQ(run(fmt::format("minisign -V -P {} -m statement.json", key.public_key().base64())), 0);
  write_text(dir_ / "statement.json", "{\"_type\":\"Release\"}");
  EXPECT_NE(run("minisign -V -p ours.pub -m statement.json"), 0);
}

TEST_F(MinisignInterop, StockMinisignSignsWithOurKeys) {
  const MinisignSecretKey key = MinisignSecretKey::generate();
  write_key_pair(posix_file_system(), dir_ / "plain", key, {});
  ASSERT_EQ(run("minisign -S -l -s plain.key -m statement.json </dev/null"), 0);
  EXPECT_EQ(run("minisign -V -p plain.pub -m statement.json"), 0);

  write_key_pair(posix_file_system(), dir_ / "locked", key, as_bytes("secret"));
  EXPECT_EQ(run("echo secret | minisign -S -l -s locked.key -m statement.json"), 0);
  EXPECT_NE(run("echo wrong | minisign -S -l -s locked.key -m statement.json"), 0);
}

TEST_F(MinisignInterop, WeAcceptStockLegacySignature) {
  ASSERT_EQ(run("minisign -G -W -p s.pub -s s.key"), 0);
  ASSERT_EQ(run("minisign -S -l -s s.key -m statement.json -t 'by hand'"), 0);
  const auto key = MinisignPublicKey::parse(read_text(dir_ / "s.pub"), "s.pub");
  const auto signature =
      MinisignSignature::parse(read_text(dir_ / "statement.json.minisig"), "s.minisig");
  EXPECT_TRUE(signature.verifies(key.key, as_bytes(read_text(dir_ / "statement.json"))));
  EXPECT_TRUE(signature.comment_verifies(key.key));
  EXPECT_EQ(signature.trusted_comment, "by hand");

  ASSERT_EQ(run("minisign -S -s s.key -m statement.json"), 0);  // prehashed, the default
  test::expect_error(ErrorCode::signature_malformed, [&] {
    MinisignSignature::parse(read_text(dir_ / "statement.json.minisig"), "s.minisig");
  });
}

TEST_F(MinisignInterop, WeOpenStockKeys) {
  ASSERT_EQ(run("minisign -G -W -p plain.pub -s plain.key"), 0);
  const auto plain = FileSigner::open(posix_file_system(), dir_ / "plain.key", {});
  EXPECT_EQ(plain->public_key()->text(), read_text(dir_ / "plain.pub"));

  // minisign -G takes the password twice; it uses 1 GiB for scrypt, or less when that is not there.
  ASSERT_EQ(run("printf 'secret\\nsecret\\n' | minisign -G -p l.pub -s l.key"), 0);
  const std::string text = read_text(dir_ / "l.key");
  EXPECT_TRUE(MinisignSecretKey::is_encrypted(text, "l.key"));
  const auto locked = FileSigner::open(posix_file_system(), dir_ / "l.key", as_bytes("secret"));
  EXPECT_EQ(locked->public_key()->text(), read_text(dir_ / "l.pub"));
  test::expect_error(ErrorCode::password_wrong, [&] {
    FileSigner::open(posix_file_system(), dir_ / "l.key", as_bytes("Secret"));
  });
}

// docs/trust-model.md, "By hand": the same 64 bytes verify with openssl.
TEST_F(MinisignInterop, OpensslAcceptsTheSignatureBytes) {
  if (!has_tool("openssl") || !has_tool("base64")) GTEST_SKIP() << "openssl is not installed";
  const MinisignSecretKey key = MinisignSecretKey::generate();
  write_text(dir_ / "vendor.pub", key.public_key().text());
  const std::string message = read_text(dir_ / "statement.json");
  write_text(dir_ / "statement.minisig", key.sign(as_bytes(message), "c").text());
  const std::string commands =
      "set -e; "
      "{ printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'; "
      "sed -n 2p vendor.pub | base64 -d | tail -c 32; } > vendor.der; "
      "openssl pkey -pubin -inform DER -in vendor.der -out vendor.pem; "
      "sed -n 2p statement.minisig | base64 -d | tail -c 64 > statement.sig; "
      "openssl pkeyutl -verify -pubin -inkey vendor.pem -rawin -in statement.json "
      "-sigfile statement.sig";
  EXPECT_EQ(run(commands), 0);
  write_text(dir_ / "statement.json", message + " ");
  EXPECT_NE(run(commands), 0);
}

TEST_F(MinisignInterop, SignifyAcceptsTheFirstTwoLines) {
  if (!has_tool("signify-openbsd")) GTEST_SKIP() << "signify-openbsd is not installed";
  const MinisignSecretKey key = MinisignSecretKey::generate();
  write_text(dir_ / "vendor.pub", key.public_key().text());
  const std::string message = read_text(dir_ / "statement.json");
  write_text(dir_ / "statement.minisig", key.sign(as_bytes(message), "c").text());
  ASSERT_EQ(run("head -n 2 statement.minisig > statement.json.sig"), 0);
  EXPECT_EQ(run("signify-openbsd -V -p vendor.pub -m statement.json"), 0);
  write_text(dir_ / "statement.json", message + " ");
  EXPECT_NE(run("signify-openbsd -V -p vendor.pub -m statement.json"), 0);
}

}  // namespace
}  // namespace bundle
