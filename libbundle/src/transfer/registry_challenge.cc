#include "transfer/registry_challenge.h"

#include <algorithm>
#include <optional>

namespace bundle::transfer {
namespace {

// RFC 9110 section 5.6.2.
bool is_token_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte < 0x7F &&
         std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
}

// RFC 9110 section 11.2, for schemes such as Negotiate that we only step over.
bool is_token68_char(char c) {
  return is_token_char(c) || c == '/' || c == '=';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::vector<AuthChallenge> run() {
    std::vector<AuthChallenge> challenges;
    while (challenges.size() < kMaxChallenges) {
      skip(" \t,");
      std::string scheme = take_token();
      if (scheme.empty()) break;
      AuthChallenge challenge{std::move(scheme), {}};
      const bool sound = take_parameters(challenge);
      challenges.push_back(std::move(challenge));
      if (!sound) break;
    }
    return challenges;
  }

 private:
  void skip(std::string_view set) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(set), rest_.size()));
  }

  std::string take_token() {
    const auto* const end = std::ranges::find_if_not(rest_, is_token_char);
    std::string token(rest_.begin(), end);
    rest_.remove_prefix(token.size());
    std::ranges::transform(token, token.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return token;
  }

  // False when the text is malformed from here on.
  bool take_parameters(AuthChallenge& challenge) {
    skip(" \t");
    if (take_token68()) return true;
    while (challenge.parameters.size() < kMaxChallengeParameters) {
      const std::string_view before = rest_;
      std::string name = take_token();
      if (name.empty()) return rest_.empty() || rest_.front() == ',';
      skip(" \t");
      if (!rest_.starts_with('=')) {  // that was the scheme of the next challenge
        rest_ = before;
        return !challenge.parameters.empty() || before.empty();
      }
      rest_.remove_prefix(1);
      skip(" \t");
      std::optional<std::string> value = take_value();
      if (!value) return false;
      // Twice the same name: which one counts would depend on the reader, so neither does.
      if (!challenge.parameters.emplace(std::move(name), std::move(*value)).second) return false;
      skip(" \t");
      if (!rest_.empty() && rest_.front() != ',') return false;
      skip(" \t,");
    }
    return false;
  }

  // A run of token68 characters up to a comma or the end, ending in '=' or without any '='.
  bool take_token68() {
    const auto* const end = std::ranges::find_if_not(rest_, is_token68_char);
    std::string_view run(rest_.data(), static_cast<std::size_t>(end - rest_.begin()));
    const std::string_view after = rest_.substr(run.size());
    if (run.empty() || (!after.empty() && after.front() != ',')) return false;
    const std::string_view body = run.substr(0, run.find_last_not_of('=') + 1);
    if (body.find('=') != std::string_view::npos) return false;
    rest_ = after;
    return true;
  }

  std::optional<std::string> take_value() {
    if (!rest_.starts_with('"')) {
      const auto* const end = std::ranges::find_if_not(rest_, is_token68_char);
      std::string value(rest_.begin(), end);
      rest_.remove_prefix(value.size());
      if (value.empty()) return std::nullopt;
      return value;
    }
    std::string value;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (c == '"') {
        rest_.remove_prefix(i + 1);
        return value;
      }
      if (c == '\\' && ++i == rest_.size()) return std::nullopt;
      value += rest_[i];
    }
    return std::nullopt;
  }

  std::string_view rest_;
};

}  // namespace

std::vector<AuthChallenge> parse_auth_challenges(std::string_view value) {
  if (value.size() > kMaxChallengeBytes) return {};
  return Parser(value).run();
}

}  // namespace bundle::transfer
