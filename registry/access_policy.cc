#include "registry/access_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "codec/yaml.h"
#include "crypto/password_hash.h"
#include "registry/request_limits.h"

namespace bundle::registry {
namespace {

constexpr std::string_view kAnybody = "anonymous";
constexpr std::string_view kAnyUser = "authenticated";

}  // namespace

bool is_user_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxUserName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.' || c == '@';
         });
}

// Reads one access file; every mistake names its place.
class AccessReader {
 public:
  AccessReader(const AccessPolicy::ReadText& read, const Path& file)
      : read_(read),
        file_(file),
        yaml_(codec::parse_yaml(read(file), file.string(), ErrorCode::config_invalid)),
        policy_(std::make_shared<AccessPolicy>()) {}

  std::shared_ptr<const AccessPolicy> read() {
    check_keys(yaml_.root(), "", {"apiVersion", "kind", "users", "tokens", "status", "rules"});
    if (text(yaml_.root(), "", "apiVersion") != "bundle/v1" ||
        text(yaml_.root(), "", "kind") != "RegistryAccess") {
      refuse("",
             "this is no access file: it begins with apiVersion: bundle/v1 and kind: "
             "RegistryAccess");
    }
    if (yaml_.root().find("users") != nullptr) read_users(beside("users"));
    if (yaml_.root().find("tokens") != nullptr) read_tokens(beside("tokens"));
    policy_->status_ = names(yaml_.root(), "", "status").value_or(Names{std::string(kAnyUser)});
    read_rules();
    std::stable_sort(
        policy_->rules_.begin(), policy_->rules_.end(),
        [](const auto& a, const auto& b) { return a.prefix.size() > b.prefix.size(); });
    // Where no rule fits, nothing is allowed: that is a secret, too.
    policy_->has_secrets_ = !policy_->rules_.back().prefix.empty();
    for (const auto& rule : policy_->rules_) {
      policy_->has_secrets_ |= !AccessPolicy::is_among(rule.pull, Caller{}) || !rule.push.empty();
    }
    return policy_;
  }

 private:
  using Names = std::vector<std::string>;

  [[noreturn]] void refuse(const std::string& pointer, const std::string& what) const {
    throw Error(ErrorCode::config_invalid, yaml_.where(pointer) + ": " + what,
                "docs/registry.md, \"Access\", shows a whole access file.");
  }
  [[noreturn]] static void refuse_line(const Path& file, std::size_t line, const char* what) {
    throw Error(ErrorCode::config_invalid, fmt::format("{}:{}: {}", file.string(), line, what),
                "docs/registry.md, \"Access\", says how to make such a line.");
  }

  void check_keys(const codec::Json& object, const std::string& pointer,
                  const std::vector<std::string_view>& allowed) const {
    if (!object.is_object()) refuse(pointer, "here must be a mapping");
    for (const auto& [key, value] : object.as_object()) {
      if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
        refuse(pointer + "/" + key, fmt::format("\"{}\" is not known here", key));
      }
    }
  }

  std::string text(const codec::Json& object, const std::string& pointer,
                   std::string_view key) const {
    const codec::Json* value = object.find(key);
    if (value == nullptr || !value->is_string()) {
      refuse(pointer, fmt::format("\"{}\" is missing or is no string", key));
    }
    return value->as_string();
  }

  Path beside(std::string_view key) const {
    return file_.parent_path() / text(yaml_.root(), "", key);
  }

  std::optional<Names> names(const codec::Json& object, const std::string& pointer,
                             const std::string& key) const {
    const codec::Json* value = object.find(key);
    if (value == nullptr) return std::nullopt;
    const std::string at = pointer + "/" + key;
    if (!value->is_array()) refuse(at, "here must be a list of names");
    Names out;
    for (const auto& item : value->as_array()) {
      if (!item.is_string() || !is_user_name(item.as_string())) {
        refuse(at, "a name is letters, digits and -_.@");
      }
      out.push_back(item.as_string());
    }
    return out;
  }

  void read_rules() {
    const codec::Json* rules = yaml_.root().find("rules");
    if (rules == nullptr || !rules->is_array() || rules->as_array().empty()) {
      refuse("/rules", "rules is missing: without one nothing is allowed");
    }
    if (rules->as_array().size() > kMaxAccessRules) refuse("/rules", "too many rules");
    for (std::size_t i = 0; i < rules->as_array().size(); ++i) {
      const std::string pointer = fmt::format("/rules/{}", i);
      const codec::Json& rule = rules->as_array()[i];
      check_keys(rule, pointer, {"prefix", "pull", "push"});
      AccessPolicy::Rule read{text(rule, pointer, "prefix"),
                              names(rule, pointer, "pull").value_or(Names{}),
                              names(rule, pointer, "push").value_or(Names{})};
      for (const auto& known : policy_->rules_) {
        if (known.prefix == read.prefix) refuse(pointer, "two rules have this prefix");
      }
      if (AccessPolicy::is_among(read.push, Caller{})) {
        refuse(pointer + "/push", "who pushes must have a name");
      }
      policy_->rules_.push_back(std::move(read));
    }
  }

  // Calls `take` with the parts before and after the first colon of each line.
  template <typename Take>
  void read_lines(const Path& file, Take take) const {
    const std::string content = read_(file);
    std::size_t number = 0;
    for (std::size_t at = 0; at < content.size();) {
      const std::size_t end = std::min(content.find('\n', at), content.size());
      std::string_view line = std::string_view(content).substr(at, end - at);
      at = end + 1;
      ++number;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.empty() || line.front() == '#') continue;
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos || !is_user_name(line.substr(0, colon))) {
        refuse_line(file, number, "a line is NAME:SECRET, the name letters, digits and -_.@");
      }
      const std::string name(line.substr(0, colon));
      if (name == kAnybody || name == kAnyUser) {
        refuse_line(file, number, "no user can have this name");
      }
      take(number, name, line.substr(colon + 1));
    }
  }

  void read_users(const Path& file) {
    read_lines(file, [&](std::size_t number, const std::string& name, std::string_view secret) {
      if (!is_bcrypt_hash(secret)) {
        refuse_line(file, number, "not a bcrypt password of cost 4 to 14 (htpasswd -B)");
      }
      if (!policy_->users_.emplace(name, secret).second) {
        refuse_line(file, number, "this user has a line already");
      }
    });
  }

  void read_tokens(const Path& file) {
    read_lines(file, [&](std::size_t number, const std::string& name, std::string_view secret) {
      if (!Digest::is_valid(secret)) {
        refuse_line(file, number, "not sha256: and the 64 digits of a token's SHA-256");
      }
      if (!policy_->tokens_.emplace(Digest::parse(secret), name).second) {
        refuse_line(file, number, "this token has a line already");
      }
    });
  }

  const AccessPolicy::ReadText& read_;
  const Path& file_;
  codec::YamlDocument yaml_;
  std::shared_ptr<AccessPolicy> policy_;
};

std::shared_ptr<const AccessPolicy> AccessPolicy::open_to_all(bool may_push) {
  auto policy = std::make_shared<AccessPolicy>();
  const Names anybody{std::string(kAnybody)};
  policy->rules_.push_back({"", anybody, may_push ? anybody : Names{}});
  policy->status_ = anybody;
  return policy;
}

std::shared_ptr<const AccessPolicy> AccessPolicy::load(FileSystem& fs, const Path& file) {
  return load([&fs](const Path& path) { return read_text_file(fs, path, kMaxAccessFileBytes); },
              file);
}

std::shared_ptr<const AccessPolicy> AccessPolicy::load(const ReadText& read, const Path& file) {
  return AccessReader(read, file).read();
}

bool AccessPolicy::is_among(const Names& names, const Caller& caller) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == kAnybody || (caller.known() && (name == kAnyUser || name == caller.name));
  });
}

bool AccessPolicy::allows(const Caller& caller, Verb verb, std::string_view repository) const {
  for (const Rule& rule : rules_) {
    if (!repository.starts_with(rule.prefix)) continue;
    return is_among(verb == Verb::pull ? rule.pull : rule.push, caller);
  }
  return false;
}

bool AccessPolicy::allows_status(const Caller& caller) const {
  return is_among(status_, caller);
}

std::optional<std::string> AccessPolicy::password_hash(const std::string& user) const {
  const auto at = users_.find(user);
  if (at == users_.end()) return std::nullopt;
  return at->second;
}

std::optional<std::string> AccessPolicy::token_owner(std::string_view token) const {
  if (token.empty() || token.size() > kMaxTokenBytes) return std::nullopt;
  // Looking up a hash tells nothing about the token by its time.
  const auto at = tokens_.find(sha256(as_bytes(token)));
  if (at == tokens_.end()) return std::nullopt;
  return at->second;
}

}  // namespace bundle::registry
