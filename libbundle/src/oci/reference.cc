#include "oci/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"

namespace bundle::oci {
namespace {

constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDigestTagPrefix = "sha256-";

bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

[[noreturn]] void fail(std::string_view text, std::string_view reason) {
  throw Error(ErrorCode::usage,
              fmt::format("'{}' is not an image name: {}", text.substr(0, 300), reason),
              "Write host/repository:tag, such as registry.example.com/app/server:1.4.0.");
}

// Runs of lower-case letters and digits between single separators: "." or "_" or "__" or "-"...
bool is_path_component(std::string_view part) {
  std::size_t i = 0;
  for (;;) {
    const std::size_t run = i;
    while (i < part.size() && is_lower_alnum(part[i])) ++i;
    if (i == run) return false;
    if (i == part.size()) return true;
    const std::size_t separator = i;
    while (i < part.size() && part[i] == part[separator]) ++i;
    const std::size_t length = i - separator;
    const char c = part[separator];
    const bool allowed = (c == '.' && length == 1) || (c == '_' && length <= 2) || c == '-';
    if (!allowed) return false;
  }
}

bool is_host_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool is_dns_host(std::string_view host) {
  for (;;) {
    const std::size_t dot = host.find('.');
    if (!is_host_label(host.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

bool is_port(std::string_view port) {
  return !port.empty() && port.size() <= 5 && std::ranges::all_of(port, is_digit) &&
         port.front() != '0';
}

// distribution/reference: the first component is a host when it could be no repository.
bool looks_like_registry(std::string_view first) {
  return first == "localhost" || first.find_first_of(".:[") != std::string_view::npos ||
         std::ranges::any_of(first, [](char c) { return c >= 'A' && c <= 'Z'; });
}

struct Tail {
  std::string_view rest;
  std::string tag;
  std::optional<Digest> digest;
};

// Cuts "@digest" and ":tag" off.
Tail split_tail(std::string_view text) {
  Tail tail{text, {}, {}};
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    const std::string_view digest = text.substr(at + 1);
    if (!Digest::is_valid(digest)) fail(text, "the part after @ is not sha256:<64 hex digits>");
    tail.digest = Digest::parse(digest);
    tail.rest = text.substr(0, at);
  }
  const std::size_t slash = tail.rest.rfind('/');
  const std::size_t colon = tail.rest.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    tail.tag = std::string(tail.rest.substr(colon + 1));
    if (!is_valid_tag(tail.tag)) fail(text, "the tag is malformed");
    tail.rest = tail.rest.substr(0, colon);
  }
  return tail;
}

ImageName checked(ImageName name, std::string_view text) {
  if (!is_valid_registry(name.registry)) {
    fail(text, "the registry host is malformed (lower-case ASCII letters, digits, - and . only)");
  }
  if (!is_valid_repository(name.repository)) {
    fail(
        text,
        "the repository is malformed (lower-case ASCII letters and digits, separated by . _ __ -)");
  }
  if (name.repository_text().size() > kMaxImageName) {
    fail(text, fmt::format("it is longer than {} characters", kMaxImageName));
  }
  return name;
}

}  // namespace

bool is_valid_repository(std::string_view text) {
  if (text.size() > kMaxImageName) return false;
  for (;;) {
    const std::size_t slash = text.find('/');
    if (!is_path_component(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

bool is_valid_tag(std::string_view text) {
  const auto is_word = [](char c) {
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && text.size() <= kMaxTag && is_word(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool is_valid_registry(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    const std::string_view address = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    return address.find_first_not_of("0123456789abcdef:") == std::string_view::npos &&
           address.find(':') != std::string_view::npos &&
           (rest.empty() || (rest.front() == ':' && is_port(rest.substr(1))));
  }
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && !is_port(text.substr(colon + 1))) return false;
  const std::string_view host = text.substr(0, colon);
  return host.size() <= 253 && is_dns_host(host);
}

ImageName ImageName::parse(std::string_view text) {
  const Tail tail = split_tail(text);
  const std::size_t slash = tail.rest.find('/');
  if (slash == std::string_view::npos || !looks_like_registry(tail.rest.substr(0, slash))) {
    fail(text, "it does not begin with a registry host");
  }
  ImageName name{std::string(tail.rest.substr(0, slash)), std::string(tail.rest.substr(slash + 1)),
                 tail.tag, tail.digest};
  return checked(std::move(name), text);
}

ImageName ImageName::parse_short(std::string_view text) {
  const Tail tail = split_tail(text);
  ImageName name{std::string(kDockerHub), std::string(tail.rest), tail.tag, tail.digest};
  const std::size_t slash = tail.rest.find('/');
  if (slash != std::string_view::npos && looks_like_registry(tail.rest.substr(0, slash))) {
    name.registry = std::string(tail.rest.substr(0, slash));
    name.repository = std::string(tail.rest.substr(slash + 1));
  }
  if (name.registry == "index.docker.io") name.registry = std::string(kDockerHub);
  if (name.registry == kDockerHub && name.repository.find('/') == std::string::npos) {
    name.repository = "library/" + name.repository;
  }
  if (name.tag.empty() && !name.digest) name.tag = "latest";
  return checked(std::move(name), text);
}

std::string ImageName::text() const {
  std::string text = repository_text();
  if (!tag.empty()) text += ":" + tag;
  if (digest) text += "@" + digest->text();
  return text;
}

std::string digest_tag(const Digest& digest, std::string_view suffix) {
  return fmt::format("{}{}{}", kDigestTagPrefix, digest.hex(), suffix);
}

std::optional<Digest> parse_digest_tag(std::string_view tag) {
  if (!tag.starts_with(kDigestTagPrefix)) return std::nullopt;
  tag.remove_prefix(kDigestTagPrefix.size());
  const std::string digest = fmt::format("sha256:{}", tag.substr(0, 2 * Digest::kSize));
  const std::string_view suffix = tag.substr(std::min(tag.size(), 2 * Digest::kSize));
  constexpr std::array<std::string_view, 4> kSuffixes{"", ".sig", ".att", ".sbom"};
  if (!Digest::is_valid(digest) || std::ranges::find(kSuffixes, suffix) == kSuffixes.end()) {
    return std::nullopt;
  }
  return Digest::parse(digest);
}

}  // namespace bundle::oci
