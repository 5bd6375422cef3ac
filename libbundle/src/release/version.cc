#include "release/version.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace bundle::release {
namespace {

constexpr std::size_t kMaxDigits = 9;  // no overflow in any arithmetic below

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// SemVer section 2: no leading zeros.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  if (!is_digits(text) || text.size() > kMaxDigits || (text.size() > 1 && text[0] == '0')) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

bool is_identifier(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  };
  return !text.empty() && std::ranges::all_of(text, allowed);
}

// Section 9: a numeric identifier has no leading zero.
bool is_prerelease_identifier(std::string_view text) {
  return is_identifier(text) && (!is_digits(text) || text.size() == 1 || text[0] != '0');
}

template <typename Value>
int order(const Value& a, const Value& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

// Section 11.4: numbers before words, numbers by value, words by ASCII.
int compare_identifiers(const std::string& a, const std::string& b) {
  const bool number_a = is_digits(a);
  const bool number_b = is_digits(b);
  if (number_a != number_b) return number_a ? -1 : 1;
  // Without leading zeros the longer number is the larger one.
  if (number_a && a.size() != b.size()) return order(a.size(), b.size());
  return order(a, b);
}

int compare_prereleases(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return order(a.empty(), b.empty());  // a final release is the greater
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (const int result = compare_identifiers(a[i], b[i]); result != 0) return result;
  }
  return order(a.size(), b.size());
}

}  // namespace

std::optional<SemVer> SemVer::parse(std::string_view text) {
  if (text.size() > kMaxVersionLength) return std::nullopt;
  SemVer version;
  if (const auto plus = text.find('+'); plus != std::string_view::npos) {
    version.build = text.substr(plus + 1);
    if (!std::ranges::all_of(split(version.build, '.'), is_identifier)) return std::nullopt;
    text = text.substr(0, plus);
  }
  if (const auto dash = text.find('-'); dash != std::string_view::npos) {
    for (const std::string_view part : split(text.substr(dash + 1), '.')) {
      if (!is_prerelease_identifier(part)) return std::nullopt;
      version.prerelease.emplace_back(part);
    }
    text = text.substr(0, dash);
  }
  const std::vector<std::string_view> numbers = split(text, '.');
  if (numbers.size() != 3) return std::nullopt;
  const auto major = parse_number(numbers[0]);
  const auto minor = parse_number(numbers[1]);
  const auto patch = parse_number(numbers[2]);
  if (!major || !minor || !patch) return std::nullopt;
  version.major = *major;
  version.minor = *minor;
  version.patch = *patch;
  return version;
}

std::string SemVer::text() const {
  std::string out = fmt::format("{}.{}.{}", major, minor, patch);
  if (!prerelease.empty()) out += fmt::format("-{}", fmt::join(prerelease, "."));
  if (!build.empty()) out += "+" + build;
  return out;
}

int compare(const SemVer& a, const SemVer& b) {
  if (a.major != b.major) return order(a.major, b.major);
  if (a.minor != b.minor) return order(a.minor, b.minor);
  if (a.patch != b.patch) return order(a.patch, b.patch);
  return compare_prereleases(a.prerelease, b.prerelease);
}

std::optional<K3sVersion> K3sVersion::parse(std::string_view text) {
  if (!text.starts_with('v')) return std::nullopt;
  std::optional<SemVer> version = SemVer::parse(text.substr(1));
  constexpr std::string_view kPrefix = "k3s";
  if (!version || !version->build.starts_with(kPrefix)) return std::nullopt;
  const auto number = parse_number(std::string_view(version->build).substr(kPrefix.size()));
  if (!number) return std::nullopt;
  return K3sVersion{*std::move(version), *number};
}

std::string K3sVersion::text() const {
  return "v" + kubernetes.text();
}

int compare(const K3sVersion& a, const K3sVersion& b) {
  const int result = compare(a.kubernetes, b.kubernetes);
  return result != 0 ? result : order(a.k3s, b.k3s);
}

std::optional<VersionPattern> VersionPattern::parse(std::string_view text) {
  VersionPattern pattern;
  if (auto exact = SemVer::parse(text)) {
    pattern.exact_ = std::move(exact);
    return pattern;
  }
  if (text.ends_with(".x")) return parse_wildcard(text.substr(0, text.size() - 2));
  for (const std::string_view part : split(text, ' ')) {
    std::optional<Comparison> comparison = parse_comparison(part);
    if (!comparison) return std::nullopt;
    pattern.comparisons_.push_back(*std::move(comparison));
  }
  return pattern;
}

// "1" or "1.3": from its first version up to, and without, the first of the next.
std::optional<VersionPattern> VersionPattern::parse_wildcard(std::string_view text) {
  const std::vector<std::string_view> numbers = split(text, '.');
  if (numbers.size() > 2) return std::nullopt;
  const auto major = parse_number(numbers[0]);
  const auto minor = numbers.size() == 2 ? parse_number(numbers[1]) : 0;
  if (!major || !minor) return std::nullopt;
  const SemVer from{*major, *minor, 0, {}, {}};
  const SemVer to = numbers.size() == 2 ? SemVer{*major, *minor + 1, 0, {}, {}}
                                        : SemVer{*major + 1, 0, 0, {}, {}};
  VersionPattern pattern;
  pattern.comparisons_ = {{Relation::greater_equal, from}, {Relation::less, to}};
  return pattern;
}

std::optional<VersionPattern::Comparison> VersionPattern::parse_comparison(std::string_view text) {
  constexpr std::pair<std::string_view, Relation> kRelations[] = {
      {">=", Relation::greater_equal}, {"<=", Relation::less_equal}, {">", Relation::greater},
      {"<", Relation::less},           {"=", Relation::equal},
  };
  for (const auto& [sign, relation] : kRelations) {
    if (!text.starts_with(sign)) continue;
    const auto version = SemVer::parse(text.substr(sign.size()));
    if (!version) return std::nullopt;
    return Comparison{relation, *version};
  }
  return std::nullopt;
}

bool VersionPattern::matches(const SemVer& version) const {
  if (exact_) return compare(*exact_, version) == 0;
  const auto holds = [&](const Comparison& comparison) {
    const int result = compare(version, comparison.version);
    switch (comparison.relation) {
      case Relation::equal:
        return result == 0;
      case Relation::greater:
        return result > 0;
      case Relation::greater_equal:
        return result >= 0;
      case Relation::less:
        return result < 0;
      case Relation::less_equal:
        return result <= 0;
    }
    return false;
  };
  return version.is_final() && std::ranges::all_of(comparisons_, holds);
}

namespace {

// The last four digits of a release number: final releases above all prereleases.
std::optional<std::uint64_t> stage_number(const std::vector<std::string>& prerelease) {
  constexpr std::uint64_t kFinal = 9000;
  if (prerelease.empty()) return kFinal;
  constexpr std::pair<std::string_view, std::uint64_t> kStages[] = {
      {"alpha", 1000}, {"beta", 2000}, {"rc", 3000}};
  for (const auto& [word, base] : kStages) {
    if (prerelease[0] != word) continue;
    if (prerelease.size() == 1) return base;
    const auto number = prerelease.size() == 2 ? parse_number(prerelease[1]) : std::nullopt;
    // +1: SemVer puts "rc" below "rc.0".
    return number && *number < 999 ? std::optional(base + *number + 1) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> default_release_number(const SemVer& version) {
  constexpr std::uint64_t kMajorLimit = 9000;
  constexpr std::uint64_t kLimit = 10'000;
  const auto stage = stage_number(version.prerelease);
  if (!stage || !version.build.empty() || version.major >= kMajorLimit || version.minor >= kLimit ||
      version.patch >= kLimit) {
    return std::nullopt;
  }
  return ((version.major * kLimit + version.minor) * kLimit + version.patch) * kLimit + *stage;
}

}  // namespace bundle::release
