#include "registry/gatekeeper.h"

#include <strings.h>
#include <sys/random.h>

#include <utility>

#include "bundle/error.h"
#include "crypto/password_hash.h"

namespace bundle::registry {
namespace {

// A password that nobody has: hashed for names that nobody has. Cost 10, as htpasswd files have.
const std::string kNobody = "$2y$10$abcdefghijklmnopqrstuu5Lo0g67CiD3M4RpN1BmBb4Crp5w7dbK";

struct Scheme {
  std::string_view name;
  std::string_view value;
};

Scheme split_authorization(std::string_view header) {
  const std::size_t space = header.find(' ');
  if (space == std::string_view::npos) return {header, {}};
  std::string_view value = header.substr(space + 1);
  while (value.starts_with(' ')) value.remove_prefix(1);
  while (value.ends_with(' ')) value.remove_suffix(1);
  return {header.substr(0, space), value};
}

bool is_scheme(std::string_view name, const char* wanted) {
  return name.size() == std::string_view(wanted).size() &&
         ::strncasecmp(name.data(), wanted, name.size()) == 0;
}

}  // namespace

Gatekeeper::Gatekeeper(FileSystem& fs, std::optional<Path> access_file, bool may_push)
    : fs_(fs), file_(std::move(access_file)), may_push_(may_push) {
  if (::getrandom(salt_.data(), salt_.size(), 0) != static_cast<ssize_t>(salt_.size())) {
    throw Error(ErrorCode::internal, "the system gives no random bytes");
  }
  reload();
}

void Gatekeeper::reload() {
  auto fresh = file_ ? AccessPolicy::load(fs_, *file_) : AccessPolicy::open_to_all(may_push_);
  const std::lock_guard lock(mutex_);
  policy_ = std::move(fresh);
  remembered_.clear();
}

std::shared_ptr<const AccessPolicy> Gatekeeper::policy() const {
  const std::lock_guard lock(mutex_);
  return policy_;
}

Digest Gatekeeper::fingerprint(std::string_view user, std::string_view password) const {
  Sha256 hash;
  hash.write(salt_);
  hash.write(as_bytes(user));
  hash.write(as_bytes(std::string_view("\0", 1)));
  hash.write(as_bytes(password));
  return hash.finish();
}

CallerOrWait Gatekeeper::identify(std::string_view authorization,
                                  const std::string& certificate_name) const {
  if (!file_ || authorization.empty()) return Caller{certificate_name};
  const auto rules = policy();
  const Scheme scheme = split_authorization(authorization);
  if (is_scheme(scheme.name, "Bearer")) {
    if (auto owner = rules->token_owner(scheme.value)) return Caller{std::move(*owner)};
    return BadCredentials{};
  }
  const auto decoded =
      is_scheme(scheme.name, "Basic") ? from_base64(scheme.value) : std::optional<Bytes>();
  if (!decoded) return BadCredentials{};
  const std::string_view pair = as_text(*decoded);
  const std::size_t colon = pair.find(':');
  if (colon == std::string_view::npos) return BadCredentials{};
  const std::string_view user = pair.substr(0, colon);
  const std::string_view password = pair.substr(colon + 1);
  // How some clients say that they have no credentials.
  if (user.empty() && password.empty()) return Caller{certificate_name};
  // A token may stand for a password, for clients that know nothing else.
  if (auto owner = rules->token_owner(password)) {
    if (*owner == user) return Caller{std::move(*owner)};
    return BadCredentials{};
  }
  {
    const std::lock_guard lock(mutex_);
    const auto known = remembered_.find(fingerprint(user, password));
    if (known != remembered_.end() && known->second > Clock::now()) {
      return Caller{std::string(user)};
    }
  }
  return NeedsPasswordCheck{std::string(user), std::string(password)};
}

bool Gatekeeper::check(const NeedsPasswordCheck& given) {
  const auto rules = policy();
  const auto hash = rules->password_hash(given.user);
  const bool right = bcrypt_matches(given.password, hash.value_or(kNobody)) && hash.has_value();
  if (!right) return false;
  const std::lock_guard lock(mutex_);
  if (policy_ != rules) return false;  // reloaded meanwhile: the client asks again
  if (remembered_.size() >= kMaxRemembered) remembered_.clear();
  remembered_.insert_or_assign(fingerprint(given.user, given.password),
                               Clock::now() + kRememberFor);
  return true;
}

}  // namespace bundle::registry
