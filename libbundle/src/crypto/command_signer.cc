// Minisign signatures by an external command.
#include <fmt/format.h>

#include "bundle/error.h"
#include "crypto/minisign_lines.h"
#include "crypto/signer.h"

namespace bundle {

CommandSigner::CommandSigner(std::string command, std::optional<MinisignPublicKey> public_key,
                             std::chrono::milliseconds time_limit)
    : command_{std::move(command), "a minisign signature file (algorithm 'Ed', minisign -S -l)",
               kMaxMinisignFileBytes, time_limit},
      public_key_(public_key) {}

MinisignSignature CommandSigner::sign(ByteView message, std::string_view trusted_comment) {
  if (!is_minisign_comment(trusted_comment, kMaxTrustedComment)) {
    throw Error(ErrorCode::usage, "the trusted comment is not one line of printable ASCII");
  }
  const std::string text = command_.run(message, trusted_comment);
  MinisignSignature signature;
  try {
    signature = MinisignSignature::parse(text, "its output");
  } catch (const Error& error) {
    command_.fail(fmt::format("printed no usable signature: {}", error.message()));
  }
  if (public_key_ && !(signature.verifies(public_key_->key, message) &&
                       signature.comment_verifies(public_key_->key))) {
    command_.fail(fmt::format("printed a signature that key {} did not make over this message",
                              public_key_->id.text()));
  }
  return signature;
}

}  // namespace bundle
