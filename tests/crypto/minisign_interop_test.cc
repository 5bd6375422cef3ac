// Both ways with the real minisign, where it is installed. tests/trust/docs_test.cc has openssl and
// signify.
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

// Without the untrusted comment: minisign leaves leading zeros of the key id out there.
std::string key_line(const std::string& public_key) {
  return public_key.substr(public_key.find('\n') + 1);
}

TEST_F(MinisignInterop, WeOpenStockKeys) {
  ASSERT_EQ(run("minisign -G -W -p plain.pub -s plain.key"), 0);
  const auto plain = FileSigner::open(posix_file_system(), dir_ / "plain.key", {});
  EXPECT_EQ(key_line(plain->public_key()->text()), key_line(read_text(dir_ / "plain.pub")));

  // minisign -G takes the password twice; it uses 1 GiB for scrypt, or less when that is not there.
  ASSERT_EQ(run("printf 'secret\\nsecret\\n' | minisign -G -p l.pub -s l.key"), 0);
  const std::string text = read_text(dir_ / "l.key");
  EXPECT_TRUE(MinisignSecretKey::is_encrypted(text, "l.key"));
  const auto locked = FileSigner::open(posix_file_system(), dir_ / "l.key", as_bytes("secret"));
  EXPECT_EQ(key_line(locked->public_key()->text()), key_line(read_text(dir_ / "l.pub")));
  test::expect_error(ErrorCode::password_wrong, [&] {
    FileSigner::open(posix_file_system(), dir_ / "l.key", as_bytes("Secret"));
  });
}

}  // namespace
}  // namespace bundle
