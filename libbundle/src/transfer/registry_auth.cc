#include "transfer/registry_auth.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/json.h"
#include "transfer/http_error.h"
#include "transfer/registry_challenge.h"

namespace bundle::transfer {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

// distribution docs/spec/auth/token.md: without expires_in a token lives 60 s.
constexpr std::int64_t kDefaultTokenSeconds = 60;
constexpr std::int64_t kMaxTokenSeconds = 86'400;
// Renewed so much before its end, because clocks and lines are slow.
constexpr std::int64_t kTokenMarginSeconds = 10;
constexpr std::string_view kClientId = "bundle";

std::string entry_key(const AuthTarget& target) {
  return target.host + " " + target.repository + " " + target.actions;
}

std::string basic_header(const Credentials& credentials) {
  return "Basic " + to_base64(as_bytes(credentials.username + ":" + credentials.password));
}

std::string parameter(const AuthChallenge& challenge, const std::string& name) {
  const auto found = challenge.parameters.find(name);
  return found == challenge.parameters.end() ? std::string() : found->second;
}

std::optional<AuthChallenge> pick(const HttpResponse& response, std::string_view scheme) {
  for (const std::string_view value : response.headers().find_all("WWW-Authenticate")) {
    const std::vector<AuthChallenge> challenges = parse_auth_challenges(value);
    const auto found = std::ranges::find(challenges, scheme, &AuthChallenge::scheme);
    if (found != challenges.end()) return *found;
  }
  return std::nullopt;
}

Url checked_realm(const std::string& realm, const AuthTarget& target) {
  Url url;
  try {
    url = Url::parse(realm, "token service of " + target.host);
  } catch (const Error& error) {
    throw Error(ErrorCode::auth_failed, error.message(),
                "The registry is set up wrongly; tell its operator.");
  }
  if (url.scheme != "https" && !target.plain_http) {
    throw Error(ErrorCode::auth_failed,
                fmt::format("{} wants the password sent to {} without encryption", target.host,
                            url.printable()),
                "Nothing was sent. The registry is set up wrongly, or somebody is in between.");
  }
  return url;
}

std::string query(const std::string& service, const std::string& scope) {
  std::string text = "service=" + percent_encode(service);
  // Several scopes are written with spaces in a challenge and as several parameters here.
  for (std::string_view rest = scope; !rest.empty();) {
    const std::size_t space = std::min(rest.find(' '), rest.size());
    if (space > 0) text += "&scope=" + percent_encode(rest.substr(0, space));
    rest.remove_prefix(std::min(space + 1, rest.size()));
  }
  return text;
}

HttpRequest token_request(const Url& realm, const std::string& parameters,
                          const Credentials& credentials) {
  HttpRequest request;
  request.url = realm.text();
  request.max_response_bytes = kMaxErrorBodyBytes;
  if (!credentials.identity_token.empty()) {  // oauth.md: a refresh token goes by POST
    request.method = "POST";
    request.headers.add("Content-Type", "application/x-www-form-urlencoded");
    request.body = HttpBody::text(
        fmt::format("grant_type=refresh_token&client_id={}&"
                    "refresh_token={}&{}",
                    kClientId, percent_encode(credentials.identity_token), parameters));
    return request;
  }
  request.url += (request.url.find('?') == std::string::npos ? "?" : "&") + parameters;
  if (!credentials.username.empty()) {
    request.url += "&account=" + percent_encode(credentials.username);
    request.headers.add("Authorization", basic_header(credentials));
  }
  return request;
}

struct Token {
  std::string text;
  std::int64_t lifetime = kDefaultTokenSeconds;  // seconds
};

Token read_token(const codec::Json& json) {
  Token token;
  token.text = json.string_or("token", json.string_or("access_token", ""));
  const codec::Json* expires = json.find("expires_in");
  if (expires != nullptr && expires->is_int()) {
    token.lifetime = std::clamp<std::int64_t>(expires->as_int(), 0, kMaxTokenSeconds);
  }
  return token;
}

Token parse_token(std::string_view body, const std::string& from) {
  Token token;
  try {
    token = read_token(codec::parse_json(body, "answer of " + from,
                                         {.max_bytes = kMaxErrorBodyBytes, .max_depth = 16}));
  } catch (const Error&) {
    token.text.clear();  // the parser's words may quote a secret
  }
  const bool printable =
      std::ranges::all_of(token.text, [](char c) { return c > 0x20 && c < 0x7F; });
  if (token.text.empty() || token.text.size() > kMaxTokenBytes || !printable) {
    throw Error(ErrorCode::auth_failed, from + " gives no usable token",
                "The token service is set up wrongly; tell its operator.");
  }
  return token;
}

}  // namespace

RegistryAuth::RegistryAuth(HttpClient& http, CredentialStore credentials)
    : http_(http), credentials_(std::move(credentials)) {}

std::string RegistryAuth::header(const AuthTarget& target) {
  TokenService service;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(entry_key(target));
    if (found == entries_.end()) return {};
    const Entry& entry = found->second;
    if (entry.service.realm.empty() || steady_clock::now() < entry.expires) return entry.header;
    service = entry.service;
  }
  return remember(target, fetch_token(target, service));
}

std::string RegistryAuth::remember(const AuthTarget& target, Entry entry) {
  const std::lock_guard lock(mutex_);
  return (entries_[entry_key(target)] = std::move(entry)).header;
}

std::string RegistryAuth::answer(const AuthTarget& target, HttpResponse& response) {
  if (const std::optional<AuthChallenge> bearer = pick(response, "bearer")) {
    TokenService service{parameter(*bearer, "realm"), parameter(*bearer, "service"),
                         parameter(*bearer, "scope")};
    if (service.scope.empty()) {
      service.scope = fmt::format("repository:{}:{}", target.repository, target.actions);
    }
    discard_body(response);
    return remember(target, fetch_token(target, service));
  }
  if (!pick(response, "basic")) {
    throw_status(response, "log in at " + target.host);
  }
  const Credentials credentials = credentials_.find(target.host, target.repository);
  if (credentials.username.empty()) {
    throw Error(
        ErrorCode::auth_failed,
        fmt::format("{} wants a login for {}, and there is none ({})", target.host,
                    target.repository, credentials_.files()),
        fmt::format("Log in with: skopeo login {}, or name a file with --authfile.", target.host));
  }
  discard_body(response);
  return remember(target, {basic_header(credentials), {}, {}});
}

RegistryAuth::Entry RegistryAuth::fetch_token(const AuthTarget& target,
                                              const TokenService& service) {
  const Url realm = checked_realm(service.realm, target);
  const Credentials credentials = credentials_.find(target.host, target.repository);
  const std::unique_ptr<HttpResponse> response =
      http_.send(token_request(realm, query(service.service, service.scope), credentials));
  if (response->status() != 200) throw_status(*response, "log in at " + target.host);
  const Bytes body = read_all(*response, kMaxErrorBodyBytes, "answer of " + realm.printable());
  const Token token = parse_token(as_text(body), realm.printable());
  const std::int64_t margin = std::min(kTokenMarginSeconds, token.lifetime / 10);
  return {"Bearer " + token.text, steady_clock::now() + seconds(token.lifetime - margin), service};
}

}  // namespace bundle::transfer
