// Answers the challenges of registries: Basic, and Bearer tokens.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "transfer/http_client.h"
#include "transfer/registry_credentials.h"

namespace bundle::transfer {

// A token may be as long as a header line allows at common servers.
inline constexpr std::size_t kMaxTokenBytes = 16 * 1024;

// What the header of a request is decided by.
struct AuthTarget {
  std::string host;         // as named by people: "docker.io"
  std::string repository;   // "library/redis"
  std::string actions;      // "pull", "pull,push"
  bool plain_http = false;  // the registry itself is allowed to be plain http
};

// Remembers per target how the registry wants to be asked, so that only its first request meets a
// 401. Thread-safe. Source: distribution docs/spec/auth/token.md and oauth.md.
class RegistryAuth {
 public:
  RegistryAuth(HttpClient& http, CredentialStore credentials);

  // The Authorization header to send; empty when none is known (yet). Fetches a new token when the
  // last one has run out.
  std::string header(const AuthTarget& target);
  // Takes the 401 `response` and makes a new header. Throws Error{auth_failed} when the challenge
  // cannot be met, when the token service refuses, or when a realm is not https; and what
  // HttpClient::send throws.
  std::string answer(const AuthTarget& target, HttpResponse& response);

 private:
  struct TokenService {
    std::string realm;
    std::string service;
    std::string scope;
  };
  struct Entry {
    std::string header;
    std::chrono::steady_clock::time_point expires;
    TokenService service;  // empty realm for Basic
  };
  // Keeps the entry and returns its header.
  std::string remember(const AuthTarget& target, Entry entry);
  Entry fetch_token(const AuthTarget& target, const TokenService& service);

  HttpClient& http_;
  CredentialStore credentials_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // by host, repository and actions
};

}  // namespace bundle::transfer
