#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "crypto/signer.h"
#include "crypto/test_support.h"

namespace bundle {
namespace {

using namespace std::chrono_literals;
using test::expect_error;
using test::fixed_key;
using test::ScratchDirectory;
using test::write_text;

class CommandSignerTest : public testing::Test {
 protected:
  // A command that prints a signature made beforehand, and keeps what it was given.
  std::string command_for(const MinisignSignature& signature) {
    write_text(dir_ / "ready.minisig", signature.text());
    return fmt::format(
        "cat > '{0}/message'; echo \"$BUNDLE_TRUSTED_COMMENT\" > '{0}/comment'; "
        "cat '{0}/ready.minisig'",
        dir_.path().string());
  }
  Error sign_fails(const std::string& command, std::chrono::milliseconds limit = 20s) {
    return expect_error(ErrorCode::signer_failed, [&] {
      CommandSigner(command, key_.public_key(), limit).sign(as_bytes("message"), "comment");
    });
  }

  ScratchDirectory dir_;
  MinisignSecretKey key_ = fixed_key(5);
};

TEST_F(CommandSignerTest, PassesMessageAndComment) {
  const auto ready = key_.sign(as_bytes("message"), "release 1.0.0");
  CommandSigner signer(command_for(ready), key_.public_key());
  EXPECT_EQ(signer.sign(as_bytes("message"), "release 1.0.0").text(), ready.text());
  EXPECT_EQ(test::read_text(dir_ / "message"), "message");
  EXPECT_EQ(test::read_text(dir_ / "comment"), "release 1.0.0\n");
}

TEST_F(CommandSignerTest, StandardInputIsAFileThatCanBeReadTwice) {
  const auto ready = key_.sign(as_bytes("message"), "c");
  const std::string command =
      fmt::format("test \"$(cat /dev/stdin)\" = \"$(cat /dev/stdin)\" && {}", command_for(ready));
  EXPECT_EQ(CommandSigner(command, key_.public_key()).sign(as_bytes("message"), "c").text(),
            ready.text());
}

TEST_F(CommandSignerTest, LargeMessageDoesNotBlock) {
  const std::string large(1 << 20, 'm');
  const auto ready = key_.sign(as_bytes(large), "c");
  // The command reads nothing before it prints.
  write_text(dir_ / "ready.minisig", ready.text());
  const std::string command = fmt::format("cat '{}/ready.minisig'", dir_.path().string());
  EXPECT_NO_THROW(CommandSigner(command, key_.public_key()).sign(as_bytes(large), "c"));
}

TEST_F(CommandSignerTest, RealMinisignAsDocumented) {
  if (!test::has_tool("minisign")) GTEST_SKIP() << "minisign is not installed";
  write_key_pair(posix_file_system(), dir_ / "release", key_, {});
  CommandSigner signer(
      fmt::format("minisign -S -l -s '{}/release.key' -t \"$BUNDLE_TRUSTED_COMMENT\" "
                  "-x /dev/stdout -m /dev/stdin",
                  dir_.path().string()),
      key_.public_key());
  const auto signature = signer.sign(as_bytes("message"), "release 1.0.0");
  EXPECT_TRUE(signature.verifies(key_.key().public_key(), as_bytes("message")));
  EXPECT_EQ(signature.trusted_comment, "release 1.0.0");
}

TEST_F(CommandSignerTest, FailuresSayWhatTheCommandSaid) {
  const Error error = sign_fails("echo 'token is locked' >&2; exit 3");
  EXPECT_NE(error.message().find("exit status 3"), std::string::npos);
  EXPECT_NE(error.message().find("token is locked"), std::string::npos);
  EXPECT_NE(sign_fails("kill -TERM $$").message().find("signal 15"), std::string::npos);
  EXPECT_NE(sign_fails("no-such-command-here").message().find("127"), std::string::npos);
  sign_fails("true");                       // nothing printed
  sign_fails("echo signed");                // no signature file
  sign_fails("head -c 1000000 /dev/zero");  // too much
  const Error flood = sign_fails("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1");
  EXPECT_LT(flood.message().size(), 2 * kMaxCommandMessage);
}

TEST_F(CommandSignerTest, WrongSignaturesAreRefused) {
  sign_fails(command_for(key_.sign(as_bytes("another message"), "c")));
  sign_fails(command_for(fixed_key(6).sign(as_bytes("message"), "c")));
  MinisignSignature changed = key_.sign(as_bytes("message"), "c");
  changed.trusted_comment = "d";
  sign_fails(command_for(changed));
}

// Without a public key the signature is taken as it is: the trust root judges it later.
TEST_F(CommandSignerTest, PublicKeyIsOptional) {
  const auto ready = fixed_key(6).sign(as_bytes("message"), "c");
  CommandSigner signer(command_for(ready));
  EXPECT_FALSE(signer.public_key());
  EXPECT_EQ(signer.sign(as_bytes("message"), "c").text(), ready.text());
}

TEST_F(CommandSignerTest, TimeLimitEndsTheWholeProcessGroup) {
  const auto start = std::chrono::steady_clock::now();
  const std::string mark = (dir_ / "alive").string();
  // A child of the shell holds the output open and would write after the limit.
  sign_fails(fmt::format("(sleep 2; touch '{}') & sleep 30", mark), 300ms);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  std::this_thread::sleep_for(2500ms);
  EXPECT_FALSE(posix_file_system().status(mark));
}

TEST_F(CommandSignerTest, CommentMustBeOneLine) {
  expect_error(ErrorCode::usage,
               [&] { CommandSigner("true").sign(as_bytes("message"), "two\nlines"); });
}

}  // namespace
}  // namespace bundle
