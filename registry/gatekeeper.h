// Finds out who sends a request: anybody, a user with a password, the owner of a token, or the
// owner of a client certificate.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "registry/access_policy.h"

namespace bundle::registry {

struct BadCredentials {};
// A password that must be hashed (slowly, in another thread) before the caller is known.
struct NeedsPasswordCheck {
  std::string user;
  std::string password;
};
using CallerOrWait = std::variant<Caller, BadCredentials, NeedsPasswordCheck>;

// Clients send their password with every request, and bcrypt is slow by intent: a right password is
// remembered (as a salted hash, for kRememberFor), a wrong one is not. Thread-safe.
class Gatekeeper {
 public:
  static constexpr std::chrono::minutes kRememberFor{5};
  static constexpr std::size_t kMaxRemembered = 1024;

  // Without a file everybody is let in; see AccessPolicy::open_to_all.
  // Throws what AccessPolicy::load throws.
  Gatekeeper(FileSystem& fs, std::optional<Path> access_file, bool may_push);

  // Reads the files again and forgets passwords. The old rules stay when it throws.
  void reload();
  std::shared_ptr<const AccessPolicy> policy() const;

  // `authorization` is the header's value, empty when absent; `certificate_name` the verified
  // client certificate's common name, empty without one.
  CallerOrWait identify(std::string_view authorization, const std::string& certificate_name) const;
  // Hashes; a stranger's name takes as long as a user's. True when the password was right.
  bool check(const NeedsPasswordCheck& given);

 private:
  using Clock = std::chrono::steady_clock;
  Digest fingerprint(std::string_view user, std::string_view password) const;

  FileSystem& fs_;
  std::optional<Path> file_;
  bool may_push_;
  std::array<std::uint8_t, 32> salt_{};
  mutable std::mutex mutex_;
  std::shared_ptr<const AccessPolicy> policy_;
  std::unordered_map<Digest, Clock::time_point> remembered_;  // until when
};

}  // namespace bundle::registry
