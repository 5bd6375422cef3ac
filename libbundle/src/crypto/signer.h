// Who signs: a key file, or a command that talks to an HSM or KMS.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/minisign.h"
#include "crypto/secret_bytes.h"
#include "crypto/signing_command.h"
#include "io/file_system.h"

namespace bundle {

// Longest password; longer ones are refused, not cut.
inline constexpr std::size_t kMaxPasswordBytes = 1024;

class Signer {
 public:
  virtual ~Signer() = default;
  // Nothing when the signer was not told it.
  virtual std::optional<MinisignPublicKey> public_key() const = 0;
  // A minisign signature ("Ed") over `message`; `trusted_comment` is signed along with it.
  virtual MinisignSignature sign(ByteView message, std::string_view trusted_comment) = 0;
};

// Signs with a minisign secret key in this process.
class FileSigner final : public Signer {
 public:
  explicit FileSigner(MinisignSecretKey key) : key_(std::move(key)) {}
  // Reads a key file. `password` may be empty for a key without one.
  // Throws Error{not_found|key_invalid|password_wrong}.
  static std::unique_ptr<FileSigner> open(FileSystem& fs, const Path& key_file, ByteView password);

  std::optional<MinisignPublicKey> public_key() const override { return key_.public_key(); }
  MinisignSignature sign(ByteView message, std::string_view trusted_comment) override;
  const MinisignSecretKey& key() const { return key_; }

 private:
  MinisignSecretKey key_;
};

// Runs `/bin/sh -c COMMAND` once per signature.
//
// Protocol: standard input is the message, as a seekable file (so /dev/stdin may be given to
// programs that want a file name). Standard output must be a minisign signature file (four lines,
// algorithm "Ed") and nothing else. The environment variable BUNDLE_TRUSTED_COMMENT holds the
// trusted comment that the signature should carry. Exit status 0 means signed. For example:
//   minisign -S -l -s /keys/release.key -t "$BUNDLE_TRUSTED_COMMENT" -x /dev/stdout -m /dev/stdin
//
// Everything that goes wrong is Error{signer_failed} with the command's own error output: another
// exit status, a signal, no signature file, more than the time limit (the process group is killed),
// or a signature that does not match `public_key` when one is given.
class CommandSigner final : public Signer {
 public:
  explicit CommandSigner(std::string command,
                         std::optional<MinisignPublicKey> public_key = std::nullopt,
                         std::chrono::milliseconds time_limit = kSignCommandTimeLimit);

  std::optional<MinisignPublicKey> public_key() const override { return public_key_; }
  MinisignSignature sign(ByteView message, std::string_view trusted_comment) override;

 private:
  SigningCommand command_;
  std::optional<MinisignPublicKey> public_key_;
};

// A whole file into locked memory. Throws Error{not_found}, Error{limit} past `limit` bytes.
SecretBytes read_secret_file(FileSystem& fs, const Path& path, std::size_t limit);

// A password from the first line of a file, without its line end. Never from a command line, where
// every user of the machine could read it. Throws Error{not_found|usage|limit}.
SecretBytes read_password_file(FileSystem& fs, const Path& path);
// The same from an open descriptor (read to the end of the first line; not closed).
SecretBytes read_password_fd(int fd);

// Writes NAME.key (mode 0600) and NAME.pub; refuses to overwrite either (Error{name_collision}).
// An empty password writes an unencrypted key: the caller must have asked the user.
void write_key_pair(FileSystem& fs, const Path& name, const MinisignSecretKey& key,
                    ByteView password);

}  // namespace bundle
