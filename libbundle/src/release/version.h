// Version numbers: SemVer 2 for releases, the k3s form for Kubernetes, and upgradeFrom patterns.
// Sources: semver.org 2.0.0 (grammar and section 11, precedence); k3s-io/k3s release names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::release {

// SemVer 2. Numbers are at most 9 digits, the whole text at most kMaxVersionLength.
struct SemVer {
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
  std::uint64_t patch = 0;
  std::vector<std::string> prerelease;  // dot-separated identifiers; empty for a final release
  std::string build;                    // after '+'; no part in precedence

  // Nothing when the text is no SemVer 2 version.
  static std::optional<SemVer> parse(std::string_view text);
  std::string text() const;
  bool is_final() const { return prerelease.empty(); }
};

inline constexpr std::size_t kMaxVersionLength = 128;  // a registry tag has at most 128 characters

// <0, 0, >0: precedence of SemVer section 11; build metadata is ignored.
int compare(const SemVer& a, const SemVer& b);

// "v1.31.6+k3s1". SemVer calls v1.31.6+k3s1 and +k3s2 equal; here the k3s number decides.
struct K3sVersion {
  SemVer kubernetes;  // final or "-rc1+k3s1"
  std::uint64_t k3s = 0;

  static std::optional<K3sVersion> parse(std::string_view text);
  std::string text() const;
};

int compare(const K3sVersion& a, const K3sVersion& b);

// One entry of upgradeFrom, in one of three forms:
//   "1.3.2" or "1.3.0-rc.1"   exactly this version
//   "1.3.x" or "1.x"          every final version with these numbers
//   ">=1.2.4 <1.4.0"          every final version for which all comparisons (= > >= < <=) hold
class VersionPattern {
 public:
  // Nothing when the text has none of these forms.
  static std::optional<VersionPattern> parse(std::string_view text);
  bool matches(const SemVer& version) const;

 private:
  enum class Relation : std::uint8_t { equal, greater, greater_equal, less, less_equal };
  struct Comparison {
    Relation relation = Relation::equal;
    SemVer version;
  };
  static std::optional<VersionPattern> parse_wildcard(std::string_view text);
  static std::optional<Comparison> parse_comparison(std::string_view text);

  std::optional<SemVer> exact_;
  std::vector<Comparison> comparisons_;
};

// The release number when the spec gives none. Grows with SemVer precedence:
//   major * 10^12 + minor * 10^8 + patch * 10^4 + stage
//   stage: 9000 final; 3000 for "rc", 3001 + N for "rc.N"; from 2000 "beta"; from 1000 "alpha"
// (N below 999). 1.4.0 is 1000400009000. Nothing when the version does not fit: another prerelease
// word, build metadata, minor or patch of 10^4 and more, major of 9000 and more (above 2^53, where
// other JSON readers lose digits).
std::optional<std::uint64_t> default_release_number(const SemVer& version);

}  // namespace bundle::release
