// User names and passwords for registries, from the files and helpers that Docker and Podman use.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/file_system.h"

namespace bundle::transfer {

inline constexpr std::uint64_t kMaxDockerConfigBytes = 1024 * 1024;

struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;  // OAuth2 refresh token; used instead of the password when present

  bool empty() const { return username.empty() && identity_token.empty(); }
};

// One docker config.json or containers auth.json.
// Source: containers-auth.json(5); docker/cli config.json.
struct DockerConfig {
  std::map<std::string, Credentials> auths;         // "host", "host/namespace/repository"
  std::map<std::string, std::string> cred_helpers;  // same keys, helper name
  std::string creds_store;                          // helper for everything else; may be empty

  // Throws Error{config_invalid} naming `what`.
  static DockerConfig parse(std::string_view text, std::string_view what);
};

// Runs "docker-credential-NAME get" and asks for `server`. Nothing when it has no such entry.
// Throws Error{auth_failed|timeout|config_invalid}. Blocks.
std::optional<Credentials> run_credential_helper(const std::string& name, const std::string& server,
                                                 std::chrono::milliseconds time_limit);

// Looks up `host/repository`: the longest entry that is a prefix at a slash wins. Files are read
// once, when first needed. Thread-safe.
class CredentialStore {
 public:
  // `auth_file` (from --authfile) must exist when given. Else $REGISTRY_AUTH_FILE, which must
  // exist when set; else the first that knows the host of
  // $XDG_RUNTIME_DIR/containers/auth.json, $XDG_CONFIG_HOME/containers/auth.json (or ~/.config),
  // $DOCKER_CONFIG/config.json (or ~/.docker).
  // Throws Error{not_found|config_invalid|media_unreadable|...}.
  CredentialStore(FileSystem& fs, std::optional<Path> auth_file);

  // Empty when nothing is known: the registry is then asked without credentials.
  Credentials find(const std::string& host, const std::string& repository) const;
  // The files that were looked at, for hints.
  std::string files() const;

 private:
  struct File {
    Path path;
    DockerConfig config;
  };
  std::vector<File> files_;
};

}  // namespace bundle::transfer
