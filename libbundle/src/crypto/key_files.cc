// Key and password files.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bundle/error.h"
#include "crypto/secret_file.h"
#include "crypto/signer.h"
#include "io/unique_fd.h"

namespace bundle {
namespace {

// Cuts at the first line end; `what` is for messages.
SecretBytes first_line(SecretBytes content, std::string_view what) {
  const ByteView bytes = content.view();
  const auto end = std::ranges::find(bytes, std::uint8_t{'\n'});
  content.shrink(static_cast<std::size_t>(end - bytes.begin()));
  if (content.size() > 0 && content.view().back() == '\r') content.shrink(content.size() - 1);
  if (content.size() == 0) {
    throw Error(ErrorCode::usage, fmt::format("the password in {} is empty", what),
                "Write the password into the first line.");
  }
  if (content.size() > kMaxPasswordBytes) {
    throw Error(ErrorCode::limit,
                fmt::format("the password in {} is longer than {} bytes", what, kMaxPasswordBytes),
                "Is it the right file?");
  }
  return content;
}

[[noreturn]] void fail(std::string_view doing, const Path& path, int error) {
  const ErrorCode code = error == ENOSPC || error == EDQUOT  ? ErrorCode::no_space
                         : error == EROFS || error == EACCES ? ErrorCode::read_only
                                                             : ErrorCode::io_error;
  throw Error(code, fmt::format("cannot {} {}: {}", doing, path.string(), std::strerror(error)));
}

void write_all(int fd, ByteView bytes, const Path& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("write", path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

// Beside the file-system seam on purpose: a secret must never exist, not even for a moment, under a
// mode that lets others read it, and an existing key must never be replaced. The seam creates files
// with mode 0644 and keeps what is there.
void write_new_secret_file(const Path& path, ByteView content) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) {
    if (errno == EEXIST) {
      throw Error(ErrorCode::name_collision, fmt::format("{} exists already", path.string()),
                  "Keys are never overwritten. Choose another name or move the old key away.");
    }
    fail("create", path, errno);
  }
  try {
    write_all(fd.get(), content, path);
    if (::fsync(fd.get()) != 0) fail("write", path, errno);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
}

Path with_suffix(const Path& name, std::string_view suffix) {
  Path path = name;
  path += suffix;
  return path;
}

}  // namespace

SecretBytes read_secret_file(FileSystem& fs, const Path& path, std::size_t limit) {
  const auto file = fs.open(path);
  if (file->size() > limit) {
    throw Error(ErrorCode::limit,
                fmt::format("{} has {} bytes, more than the limit of {}", path.string(),
                            file->size(), limit),
                "Name the right file.");
  }
  // One byte more than expected, so that a file which grew meanwhile is noticed.
  SecretBytes content(static_cast<std::size_t>(file->size()) + 1);
  const std::size_t size = file->read_at(0, content.span());
  if (size == content.size()) {
    throw Error(ErrorCode::io_error, fmt::format("{} changed while it was read", path.string()));
  }
  content.shrink(size);
  return content;
}

std::unique_ptr<FileSigner> FileSigner::open(FileSystem& fs, const Path& key_file,
                                             ByteView password) {
  const SecretBytes text = read_secret_file(fs, key_file, kMaxMinisignFileBytes);
  return std::make_unique<FileSigner>(
      MinisignSecretKey::parse(as_text(text.view()), password, key_file.string()));
}

MinisignSignature FileSigner::sign(ByteView message, std::string_view trusted_comment) {
  return key_.sign(message, trusted_comment);
}

SecretBytes read_password_file(FileSystem& fs, const Path& path) {
  return first_line(read_secret_file(fs, path, kMaxMinisignFileBytes), path.string());
}

SecretBytes read_password_fd(int fd) {
  const std::string what = fmt::format("file descriptor {}", fd);
  // Byte by byte, so that what follows the first line stays in the pipe for its other readers.
  SecretBytes content(kMaxPasswordBytes + 2);
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::read(fd, content.data() + size, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw Error(ErrorCode::usage,
                  fmt::format("cannot read the password from {}: {}", what, std::strerror(errno)),
                  "The descriptor must be open in this process, as in '3<password-file'.");
    }
    if (count == 0 || content.data()[size] == '\n') break;
    ++size;
  }
  content.shrink(size);
  return first_line(std::move(content), what);
}

void write_secret_file(FileSystem& fs, const Path& path, ByteView content) {
  const Path beside = with_suffix(path, ".new");
  fs.remove(beside);
  write_new_secret_file(beside, content);
  // Renewed by root, read by the service: the owner stays.
  struct stat old {};
  if (::lstat(path.c_str(), &old) == 0 && S_ISREG(old.st_mode) && old.st_uid != ::geteuid() &&
      ::lchown(beside.c_str(), old.st_uid, old.st_gid) != 0) {
    fs.remove(beside);
    fail("keep the owner of", path, errno);
  }
  fs.rename(beside, path);
  const Path parent = path.parent_path();
  fs.sync_directory(parent.empty() ? Path(".") : parent);
}

void write_key_pair(FileSystem& fs, const Path& name, const MinisignSecretKey& key,
                    ByteView password) {
  const Path public_path = with_suffix(name, ".pub");
  if (fs.status(public_path)) {
    throw Error(ErrorCode::name_collision, fmt::format("{} exists already", public_path.string()),
                "Keys are never overwritten. Choose another name or move the old key away.");
  }
  const SecretBytes text = password.empty() ? key.text_unencrypted() : key.text_encrypted(password);
  write_new_secret_file(with_suffix(name, ".key"), text.view());
  write_file_atomically(fs, public_path, as_bytes(key.public_key().text()));
}

}  // namespace bundle
