#include "site/secret_filter.h"

#include <algorithm>
#include <array>

namespace bundle::site {
namespace {

constexpr std::string_view kGone = "(removed)";
constexpr std::size_t kShortestSecret = 4;
constexpr std::size_t kShortestCredential = 8;

// Parts of names of keys, in lower case without '-', '_' and '.'.
constexpr std::array<std::string_view, 12> kSecretNames = {
    "password",  "passwd",     "passphrase", "secret",        "token",      "apikey",
    "accesskey", "privatekey", "clientkey",  "authorization", "credential", "cookie"};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool is_name(char c) {
  const char small = lower(c);
  return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.';
}
bool is_space(char c) {
  return c == ' ' || c == '\t';
}
bool is_credential(char c) {
  return is_name(c) || c == '+' || c == '/' || c == '=' || c == '~' || c == ':';
}

bool is_secret_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c != '-' && c != '_' && c != '.') plain += lower(c);
  }
  return std::ranges::any_of(
      kSecretNames, [&](std::string_view part) { return plain.find(part) != std::string::npos; });
}

bool starts_with_lower(std::string_view text, std::string_view what) {
  return text.size() >= what.size() &&
         std::ranges::equal(what, text.substr(0, what.size()), {}, {}, lower);
}

// Copies `text` and replaces what `next` finds: it is given the text and a place in it, and says
// how far a secret that begins there goes and how much of its beginning stays.
struct Found {
  std::size_t kept = 0;
  std::size_t length = 0;  // with what is kept; 0: nothing begins here
};

template <typename Look>
FilteredText replace(std::string_view text, Look look) {
  FilteredText out;
  out.text.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Found found = look(text, at);
    if (found.length == 0) {
      out.text += text[at++];
      continue;
    }
    out.text += text.substr(at, found.kept);
    out.text += kGone;
    ++out.removed;
    at += found.length;
  }
  return out;
}

std::size_t end_of(std::string_view text, std::size_t at, bool (*belongs)(char)) {
  while (at < text.size() && belongs(text[at])) ++at;
  return at;
}

// -----BEGIN ... PRIVATE KEY----- up to its end, or to the end of the text.
Found private_key(std::string_view text, std::size_t at) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kEnd = "-----END ";
  if (!text.substr(at).starts_with(kBegin)) return {};
  const auto title = text.find("-----", at + kBegin.size());
  if (title == text.npos || title - at > 80) return {};
  const std::string_view name = text.substr(at + kBegin.size(), title - at - kBegin.size());
  if (name.find("PRIVATE") == name.npos && name.find("SECRET") == name.npos) return {};
  auto end = text.find(kEnd, title);
  if (end != text.npos) end = text.find("-----", end + kEnd.size());
  return {0, (end == text.npos ? text.size() : end + 5) - at};
}

// "Bearer x", "Basic x", JSON web tokens, tokens of k3s, "//user:password@".
Found credential(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  if (at > 0 && is_name(text[at - 1]) && text[at] != ':') return {};
  for (const std::string_view scheme : {"bearer ", "basic "}) {
    if (!starts_with_lower(rest, scheme)) continue;
    const std::size_t end = end_of(rest, scheme.size(), is_credential);
    if (end - scheme.size() >= kShortestCredential) return {scheme.size(), end};
  }
  if (rest.starts_with("eyJ") || rest.starts_with("K10")) {
    const std::size_t end = end_of(rest, 0, is_credential);
    const std::string_view word = rest.substr(0, end);
    const bool k3s = word.find("::") != word.npos;
    if (k3s || (word.front() == 'e' && word.find('.') != word.npos)) return {0, end};
  }
  if (rest.starts_with("://")) {
    const auto end = rest.find_first_of("@/ \t\r\n\"'", 3);
    if (end != rest.npos && rest[end] == '@' && end > 3) return {3, end};
  }
  return {};
}

// Where the value ends that begins at `at`.
std::size_t end_of_value(std::string_view text, std::size_t at, bool to_line_end) {
  if (at < text.size() && (text[at] == '"' || text[at] == '\'')) {
    const char quote = text[at];
    for (++at; at < text.size() && text[at] != quote && text[at] != '\n'; ++at) {
      if (text[at] == '\\' && quote == '"') ++at;
    }
    return std::min(at, text.size());
  }
  const auto end = text.find_first_of(to_line_end ? "\r\n" : " \t\r\n", at);
  return end == text.npos ? text.size() : end;
}

// A block of YAML below "key: |" or "key:": the lines that stand deeper.
std::size_t end_of_block(std::string_view text, std::size_t line, std::size_t indent) {
  while (line < text.size()) {
    const std::size_t first = end_of(text, line, is_space);
    const bool empty = first < text.size() && (text[first] == '\n' || text[first] == '\r');
    if (!empty && first - line <= indent) return line;
    const auto next = text.find('\n', line);
    if (next == text.npos) return text.size();
    line = next + 1;
  }
  return line;
}

// A key that is named like a secret, and its value.
Found named_value(std::string_view text, std::size_t at) {
  if (!is_name(text[at]) || (at > 0 && is_name(text[at - 1]))) return {};
  const std::size_t name_end = end_of(text, at, is_name);
  const std::string_view name = text.substr(at, name_end - at);
  if (!is_secret_name(name)) return {};
  std::size_t value = name_end;
  if (value < text.size() && (text[value] == '"' || text[value] == '\'')) ++value;
  value = end_of(text, value, is_space);
  const bool flag = name.starts_with("--") && value > name_end;
  const bool assigned = value < text.size() && (text[value] == ':' || text[value] == '=');
  if (!flag && !assigned) return {};
  if (assigned) value = end_of(text, value + 1, is_space);
  const bool block = value < text.size() && (text[value] == '\n' || text[value] == '\r' ||
                                             text[value] == '|' || text[value] == '>');
  if (block) {
    const auto line_end = text.find('\n', value);
    if (line_end == text.npos) return {};
    const auto line = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
    const std::size_t indent = end_of(text, line, is_space) - line;
    const std::size_t end = end_of_block(text, line_end + 1, indent);
    // Only the name of something ("secret:" with nothing below it).
    return end == line_end + 1 ? Found{} : Found{line_end + 1 - at, end - at};
  }
  const std::size_t end = end_of_value(text, value, !flag);
  if (end <= value) return {};
  const bool quoted = text[value] == '"' || text[value] == '\'';
  if (quoted && end == value + 1) return {};
  return {value + (quoted ? 1 : 0) - at, end - at};
}

}  // namespace

FilteredText filter_secrets(std::string_view text, const std::vector<std::string>& known) {
  FilteredText out{std::string(text), 0};
  const auto apply = [&out](auto look) {
    FilteredText next = replace(out.text, look);
    next.removed += out.removed;
    out = std::move(next);
  };
  for (const std::string& secret : known) {
    if (secret.size() < kShortestSecret || out.text.find(secret) == std::string::npos) continue;
    apply([&secret](std::string_view in, std::size_t at) {
      return in.substr(at).starts_with(secret) ? Found{0, secret.size()} : Found{};
    });
  }
  apply(private_key);
  apply(credential);
  apply(named_value);
  return out;
}

}  // namespace bundle::site
