// A command that signs: `/bin/sh -c COMMAND` for an HSM, a KMS or another tool.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace bundle {

// Time that a signing command gets: a person may have to touch a token.
inline constexpr std::chrono::seconds kSignCommandTimeLimit{120};
// Longest output of a signing command that is kept for an error message.
inline constexpr std::size_t kMaxCommandMessage = 4 * 1024;

struct SigningCommand {
  std::string command;
  std::string wanted;  // what it must print, for messages: "a minisign signature file"
  std::size_t max_output = 0;
  std::chrono::milliseconds time_limit = kSignCommandTimeLimit;

  // Standard input is `message`, as a seekable file (so /dev/stdin may be given to programs that
  // want a file name); BUNDLE_TRUSTED_COMMENT in the environment is `trusted_comment`. Returns
  // standard output. Throws Error{signer_failed} with what the command said: another exit status
  // than 0, a signal, too much output, more than the time limit (its process group is killed).
  std::string run(ByteView message, std::string_view trusted_comment) const;

  // Throws Error{signer_failed}: for output that is not what was wanted.
  [[noreturn]] void fail(std::string_view problem, std::string_view command_output = {}) const;
};

}  // namespace bundle
