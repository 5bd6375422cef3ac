// The one exception type of libbundle.
//
// Every failure that a caller can meet is an `Error`. Its code says what kind of failure it is, its
// message says what happened and where (file, offset), its hint says what to do next. The list of
// codes is closed: `docs/errors.md` has a row for each one and a test keeps the two equal.
#pragma once

#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>

namespace bundle {

// One line per code: C++ name, exit code of the tools, one-line meaning.
// Exit codes are part of the command-line contract: never renumber, only add.
#define BUNDLE_ERROR_CODES(X)                                                                    \
  X(internal, 1, "a bug in this program")                                                        \
  X(usage, 2, "wrong command line")                                                              \
  X(not_found, 3, "a file or object that was named does not exist")                              \
  X(io_error, 4, "the operating system reported an input/output error")                          \
  X(no_space, 5, "the disk is full or will be")                                                  \
  X(read_only, 6, "the destination cannot be written")                                           \
  X(media_unreadable, 7, "the medium went away or cannot be read")                               \
  X(busy, 8, "another process holds the store")                                                  \
  X(cancelled, 9, "interrupted by the user")                                                     \
  X(unsupported, 10, "needs a newer version of this program")                                    \
  X(limit, 11, "an input exceeds a named limit")                                                 \
  X(unsafe_path, 12, "a path in the input leaves its directory")                                 \
  X(name_collision, 13, "two things in the input have the same name")                            \
  X(spec_invalid, 20, "the release specification is wrong")                                      \
  X(config_invalid, 21, "a configuration file is wrong")                                         \
  X(json_invalid, 22, "a JSON document is malformed")                                            \
  X(manifest_invalid, 23, "the release manifest breaks its schema")                              \
  X(oci_invalid, 24, "an OCI document or layout is malformed")                                   \
  X(archive_invalid, 25, "a tar archive is malformed")                                           \
  X(key_invalid, 30, "a key file is malformed")                                                  \
  X(password_wrong, 31, "the password does not open the key")                                    \
  X(no_trust, 32, "no trust root is pinned")                                                     \
  X(root_invalid, 33, "the trust root is malformed or not properly signed")                      \
  X(root_chain_broken, 34, "a link of the root rotation chain is missing or not signed by both") \
  X(unsigned_release, 35, "the release carries no signature")                                    \
  X(signature_invalid, 36, "a signature does not match what it signs")                           \
  X(signature_malformed, 37, "a signature file cannot be read")                                  \
  X(wrong_key, 38, "signed only by keys that the trust root does not name")                      \
  X(threshold_unmet, 39, "fewer distinct valid signatures than the trust root demands")          \
  X(expired, 40, "signed metadata is past its expiry date")                                      \
  X(rollback, 41, "older than what this site has already accepted")                              \
  X(statement_invalid, 42, "a signed statement is malformed or not canonical")                   \
  X(statement_mismatch, 43, "parts of two different releases are mixed")                         \
  X(revoked, 44, "the release or key has been revoked")                                          \
  X(not_a_bundle, 50, "no bundle was found there")                                               \
  X(volume_corrupt, 51, "a volume header or table is damaged")                                   \
  X(volume_truncated, 52, "a volume is shorter than it says")                                    \
  X(volume_missing, 53, "a needed volume is not there")                                          \
  X(volume_duplicate, 54, "two different files claim to be the same volume")                     \
  X(volume_foreign, 55, "a volume belongs to another bundle")                                    \
  X(index_corrupt, 56, "the bundle index does not match its signed digest")                      \
  X(index_invalid, 57, "the bundle index is malformed")                                          \
  X(pack_corrupt, 58, "packed data does not match its signed digest")                            \
  X(recipe_invalid, 59, "a recipe is malformed")                                                 \
  X(blob_mismatch, 60, "a rebuilt blob does not match its digest")                               \
  X(base_missing, 61, "the base release of a delta is not complete at this site")                \
  X(sidecar_mismatch, 62, "a loose file disagrees with the copy inside the volumes")             \
  X(manifest_mismatch, 63, "the release manifest does not match its signed digest")              \
  X(bomb, 64, "an input inflates beyond what it declares")                                       \
  X(store_invalid, 70, "the directory is not a usable site store")                               \
  X(store_corrupt, 71, "a blob in the store does not match its digest")                          \
  X(release_unknown, 72, "no such release in the store")                                         \
  X(release_incomplete, 73, "the release is not complete in the store")                          \
  X(gate_refused, 74, "an upgrade rule refuses the step")                                        \
  X(release_active, 75, "the release is in use")                                                 \
  X(network, 80, "a network request failed")                                                     \
  X(http_status, 81, "a server answered with an error status")                                   \
  X(auth_failed, 82, "a server refused the credentials")                                         \
  X(tls_failed, 83, "a TLS connection could not be verified")                                    \
  X(timeout, 84, "no progress within the time limit")                                            \
  X(signer_failed, 85, "the external signing command failed")

enum class ErrorCode : std::uint8_t {
#define BUNDLE_ERROR_ENUM(name, exit_code, meaning) name = (exit_code),
  BUNDLE_ERROR_CODES(BUNDLE_ERROR_ENUM)
#undef BUNDLE_ERROR_ENUM
};

// One row of the table above.
struct ErrorCodeInfo {
  ErrorCode code;
  std::string_view name;     // "volume_corrupt"
  std::string_view meaning;  // "a volume header or table is damaged"
};

// All codes in ascending order.
std::span<const ErrorCodeInfo> error_codes();

std::string_view error_name(ErrorCode code);

// The exit status of a tool that ends with this code.
constexpr int exit_status(ErrorCode code) {
  return static_cast<int>(code);
}

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string hint = {});

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  // What the operator can do next; may be empty.
  const std::string& hint() const { return hint_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
  std::string hint_;
};

}  // namespace bundle
