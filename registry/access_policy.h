// Who may pull and push what: the access file, with the users and tokens that it names.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/digest.h"
#include "io/file_system.h"

namespace bundle::registry {

enum class Verb : std::uint8_t { pull, push };

// Who sends a request. An empty name is anybody.
struct Caller {
  std::string name;
  bool known() const { return !name.empty(); }
};

// 1 to kMaxUserName letters, digits and -_.@
bool is_user_name(std::string_view name);

// Immutable; const calls are thread-safe.
class AccessPolicy {
 public:
  // Without an access file: everybody may pull and see the status, nobody may push.
  static std::shared_ptr<const AccessPolicy> open_to_all(bool may_push);
  // Reads the YAML file and the files of users and tokens beside it (docs/registry.md, "Access").
  // Throws Error{config_invalid} naming file and line, Error{not_found|limit}.
  static std::shared_ptr<const AccessPolicy> load(FileSystem& fs, const Path& file);
  // The same with files that `read` gives; it throws for what is not there.
  using ReadText = std::function<std::string(const Path& file)>;
  static std::shared_ptr<const AccessPolicy> load(const ReadText& read, const Path& file);

  // The rule with the longest prefix of the full name ("docker.io/library/redis") decides; where no
  // rule fits, nothing is allowed.
  bool allows(const Caller& caller, Verb verb, std::string_view repository) const;
  bool allows_status(const Caller& caller) const;
  // A named caller may pull or push more than anybody: clients must be told to log in.
  bool has_secrets() const { return has_secrets_; }

  // The bcrypt hash of a user's password; nothing for a stranger.
  std::optional<std::string> password_hash(const std::string& user) const;
  // Whose token this is; nothing when it is nobody's.
  std::optional<std::string> token_owner(std::string_view token) const;

 private:
  friend class AccessReader;
  using Names = std::vector<std::string>;
  struct Rule {
    std::string prefix;
    Names pull, push;
  };

  static bool is_among(const Names& names, const Caller& caller);

  std::vector<Rule> rules_;  // longest prefix first
  Names status_;
  std::map<std::string, std::string> users_;
  std::map<Digest, std::string> tokens_;  // by the SHA-256 of the token
  bool has_secrets_ = false;
};

}  // namespace bundle::registry
