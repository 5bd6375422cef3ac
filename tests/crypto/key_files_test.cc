#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/signer.h"
#include "crypto/test_support.h"

namespace bundle {
namespace {

using test::expect_error;
using test::fixed_key;
using test::ScratchDirectory;
using test::write_text;

std::string text(const SecretBytes& secret) {
  return std::string(as_text(secret.view()));
}

TEST(KeyFiles, WritesPrivateKeyForOwnerOnly) {
  const ScratchDirectory dir;
  ::umask(0);
  write_key_pair(posix_file_system(), dir / "vendor", fixed_key(4), {});
  ::umask(022);
  struct stat status {};
  ASSERT_EQ(::stat((dir / "vendor.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const auto signer = FileSigner::open(posix_file_system(), dir / "vendor.key", {});
  EXPECT_EQ(signer->public_key(), fixed_key(4).public_key());
  EXPECT_EQ(test::read_text(dir / "vendor.pub"), fixed_key(4).public_key().text());
}

TEST(KeyFiles, NeverOverwritesAKey) {
  const ScratchDirectory dir;
  write_text(dir / "a.key", "precious");
  expect_error(ErrorCode::name_collision,
               [&] { write_key_pair(posix_file_system(), dir / "a", fixed_key(4), {}); });
  EXPECT_EQ(test::read_text(dir / "a.key"), "precious");
  write_text(dir / "b.pub", "precious");
  expect_error(ErrorCode::name_collision,
               [&] { write_key_pair(posix_file_system(), dir / "b", fixed_key(4), {}); });
  EXPECT_FALSE(posix_file_system().status(dir / "b.key"));
  // Through a symlink neither: it could point to a file that others read.
  ASSERT_EQ(::symlink((dir / "elsewhere").c_str(), (dir / "c.key").c_str()), 0);
  expect_error(ErrorCode::name_collision,
               [&] { write_key_pair(posix_file_system(), dir / "c", fixed_key(4), {}); });
  EXPECT_FALSE(posix_file_system().status(dir / "elsewhere"));
}

TEST(KeyFiles, MissingOrForeignKeyFile) {
  const ScratchDirectory dir;
  expect_error(ErrorCode::not_found,
               [&] { FileSigner::open(posix_file_system(), dir / "none.key", {}); });
  write_text(dir / "x.key", "-----BEGIN PRIVATE KEY-----\n");
  expect_error(ErrorCode::key_invalid,
               [&] { FileSigner::open(posix_file_system(), dir / "x.key", {}); });
  write_text(dir / "big.key", std::string(kMaxMinisignFileBytes + 1, 'a'));
  expect_error(ErrorCode::limit,
               [&] { FileSigner::open(posix_file_system(), dir / "big.key", {}); });
}

TEST(Password, FromFile) {
  const ScratchDirectory dir;
  const auto read = [&](std::string_view content) {
    write_text(dir / "p", content);
    return text(read_password_file(posix_file_system(), dir / "p"));
  };
  EXPECT_EQ(read("secret"), "secret");
  EXPECT_EQ(read("secret\n"), "secret");
  EXPECT_EQ(read("secret\r\nsecond line"), "secret");
  EXPECT_EQ(read(" spaces count \n"), " spaces count ");
  expect_error(ErrorCode::usage, [&] { read(""); });
  expect_error(ErrorCode::usage, [&] { read("\nsecret"); });
  expect_error(ErrorCode::limit, [&] { read(std::string(kMaxPasswordBytes + 1, 'x')); });
  EXPECT_EQ(read(std::string(kMaxPasswordBytes, 'x')).size(), kMaxPasswordBytes);
  expect_error(ErrorCode::not_found,
               [&] { read_password_file(posix_file_system(), dir / "none"); });
}

TEST(Password, FromDescriptorLeavesTheRest) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string_view written = "secret\nrest";
  ASSERT_EQ(::write(ends[1], written.data(), written.size()), static_cast<ssize_t>(written.size()));
  ::close(ends[1]);
  EXPECT_EQ(text(read_password_fd(ends[0])), "secret");
  EXPECT_EQ(text(read_password_fd(ends[0])), "rest");
  expect_error(ErrorCode::usage, [&] { read_password_fd(ends[0]); });  // at the end: empty
  ::close(ends[0]);
  expect_error(ErrorCode::usage, [&] { read_password_fd(ends[0]); });  // closed
}

TEST(Password, TooLongFromDescriptor) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string written(kMaxPasswordBytes + 1, 'x');
  ASSERT_EQ(::write(ends[1], written.data(), written.size()), static_cast<ssize_t>(written.size()));
  ::close(ends[1]);
  expect_error(ErrorCode::limit, [&] { read_password_fd(ends[0]); });
  ::close(ends[0]);
}

}  // namespace
}  // namespace bundle
