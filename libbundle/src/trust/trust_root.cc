#include "trust/trust_root.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "bundle/error.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

constexpr std::size_t kFingerprintDigits = 2 * Digest::kSize;
constexpr std::size_t kFingerprintGroup = 4;

std::uint64_t root_threshold(const RootMetadata& metadata) {
  return metadata.roles.find(role::kRoot)->second.threshold;
}

[[noreturn]] void broken_link(std::uint64_t from, std::uint64_t to, std::string_view problem) {
  throw Error(ErrorCode::root_chain_broken,
              fmt::format("the step from trust root {} to {} is broken: {}", from, to, problem),
              "Get a medium that carries all roots from that step on, or ask the vendor. Until "
              "then this site stays with the root it has.");
}

// Lower-case digits without what people put between them; empty when it is no fingerprint.
std::string fingerprint_digits(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c == ' ' || c == ':' || c == '-' || c == '\n' || c == '\t') continue;
    const char lower = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool hex = (lower >= '0' && lower <= '9') || (lower >= 'a' && lower <= 'f');
    if (!hex || digits.size() == kFingerprintDigits) return {};
    digits.push_back(lower);
  }
  return digits.size() == kFingerprintDigits ? digits : std::string();
}

std::string in_groups(std::string_view digits) {
  std::string grouped;
  for (std::size_t at = 0; at < digits.size(); at += kFingerprintGroup) {
    if (at > 0) grouped.push_back(' ');
    grouped += digits.substr(at, kFingerprintGroup);
  }
  return grouped;
}

using RootsByVersion = std::map<std::uint64_t, const RootFile*>;

RootsByVersion sort_roots(std::span<const RootFile> roots) {
  if (roots.size() > kMaxRootChain) {
    throw Error(
        ErrorCode::limit,
        fmt::format("{} trust roots, more than the limit of {}", roots.size(), kMaxRootChain),
        "Bring only the roots since the one that this site has.");
  }
  RootsByVersion by_version;
  for (const RootFile& file : roots) {
    const std::uint64_t version = parse_root(file.content, file.name).metadata.version;
    const auto [found, added] = by_version.emplace(version, &file);
    if (!added && found->second->content != file.content) {
      throw Error(ErrorCode::root_invalid,
                  fmt::format("{} and {} are different trust roots with the same version",
                              found->second->name, file.name),
                  "Use a medium that carries one chain of roots.");
    }
  }
  return by_version;
}

bool signed_by(const RootFile& file, const RootMetadata& signer) {
  return count_root_signatures(parse_root(file.content, file.name), signer) > 0;
}

}  // namespace

struct TrustRoot::Parts {
  RootMetadata metadata;
  std::string raw;
  std::string fingerprint;  // hex, no groups
};

const RootMetadata& TrustRoot::metadata() const {
  return parts_->metadata;
}
const std::string& TrustRoot::raw() const {
  return parts_->raw;
}

TrustRoot TrustRoot::from_public_key(std::string_view text, std::string_view what) {
  const MinisignPublicKey public_key = MinisignPublicKey::parse(text, what);
  const std::string id = tuf_key_id(public_key.key);
  auto parts = std::make_shared<Parts>();
  parts->raw = text;
  parts->fingerprint = id;
  parts->metadata.keys.emplace(id, RootKey{id, public_key.key, public_key.id});
  for (const std::string_view name :
       {role::kRoot, role::kRelease, role::kTimestamp, role::kCarrier}) {
    parts->metadata.roles.emplace(name, RootRole{{id}, 1});
  }
  return TrustRoot(std::move(parts));
}

TrustRoot TrustRoot::accept(UnverifiedRoot root, std::string_view raw) {
  auto parts = std::make_shared<Parts>();
  parts->raw = raw;
  parts->fingerprint = sha256(as_bytes(root.signed_bytes)).hex();
  parts->metadata = std::move(root.metadata);
  return TrustRoot(std::move(parts));
}

TrustRoot TrustRoot::parse(std::string_view root_json, std::string_view what) {
  UnverifiedRoot root = parse_root(root_json, what);
  const std::size_t count = count_root_signatures(root, root.metadata);
  if (count < root_threshold(root.metadata)) {
    throw Error(ErrorCode::root_invalid,
                fmt::format("{}: signed by {} of its own root keys, it demands {}", what, count,
                            root_threshold(root.metadata)),
                "The vendor has not finished signing this root, or it was changed on the way.");
  }
  return accept(std::move(root), root_json);
}

TrustRoot TrustRoot::load(std::string_view text, std::string_view what) {
  return text.starts_with('{') ? parse(text, what) : from_public_key(text, what);
}

std::string TrustRoot::fingerprint() const {
  return in_groups(parts_->fingerprint);
}

std::string root_fingerprint(std::string_view signed_bytes) {
  return in_groups(sha256(as_bytes(signed_bytes)).hex());
}

bool TrustRoot::matches(std::string_view text) const {
  return fingerprint_digits(text) == parts_->fingerprint;
}

TrustRoot TrustRoot::update(std::string_view next_root_json, std::string_view what) const {
  UnverifiedRoot next = parse_root(next_root_json, what);
  const std::uint64_t to = next.metadata.version;
  if (to != version() + 1) {
    broken_link(version(), version() + 1, fmt::format("{} is version {}", what, to));
  }
  const std::size_t by_old = count_root_signatures(next, metadata());
  if (by_old < root_threshold(metadata())) {
    broken_link(version(), to,
                fmt::format("{} is signed by {} root keys of version {}, which demands {}", what,
                            by_old, version(), root_threshold(metadata())));
  }
  const std::size_t by_own = count_root_signatures(next, next.metadata);
  if (by_own < root_threshold(next.metadata)) {
    broken_link(version(), to,
                fmt::format("{} is signed by {} of its own root keys, it demands {}", what, by_own,
                            root_threshold(next.metadata)));
  }
  return accept(std::move(next), next_root_json);
}

std::vector<TrustRoot> TrustRoot::newer_roots(std::span<const RootFile> roots) const {
  const RootsByVersion by_version = sort_roots(roots);
  std::vector<TrustRoot> links;
  TrustRoot current = *this;
  for (auto next = by_version.upper_bound(version()); next != by_version.end(); ++next) {
    const auto& [number, file] = *next;
    if (current.is_bare_key() && !signed_by(*file, current.metadata())) return {};
    if (number != current.version() + 1) {
      broken_link(current.version(), current.version() + 1,
                  fmt::format("version {} is missing", current.version() + 1));
    }
    current = current.update(file->content, file->name);
    links.push_back(current);
  }
  return links;
}

TrustRoot TrustRoot::update_all(std::span<const RootFile> roots) const {
  const std::vector<TrustRoot> links = newer_roots(roots);
  return links.empty() ? *this : links.back();
}

void TrustRoot::require_unexpired(std::optional<UnixTime> now) const {
  if (metadata().expires) {
    check_expiry(*metadata().expires, std::nullopt, now, fmt::format("trust root {}", version()));
  }
}

std::size_t TrustRoot::count_signers(std::string_view role_name,
                                     std::span<const std::string> signers,
                                     std::span<const std::string> revoked) const {
  const RootRole* role = find_role(metadata(), role_name);
  if (role == nullptr) return 0;
  return static_cast<std::size_t>(std::ranges::count_if(signers, [&](const std::string& signer) {
    return std::ranges::find(role->key_ids, signer) != role->key_ids.end() &&
           !std::ranges::binary_search(revoked, signer);
  }));
}

void TrustRoot::check_expiry(UnixTime expires, std::optional<UnixTime> created,
                             std::optional<UnixTime> now, std::string_view what) {
  if (!now || *now < expires) return;
  throw Error(ErrorCode::expired,
              fmt::format("{} {}expired on {}; the time here is {}", what,
                          created ? fmt::format("was made on {} and ", format_time(*created)) : "",
                          format_time(expires), format_time(*now)),
              "If the time here is wrong, set the clock right and try again. If it is right, ask "
              "the vendor "
              "for newer signed files.");
}

std::optional<TrustRoot> find_root(std::span<const RootFile> roots, std::string_view fingerprint) {
  for (const RootFile& file : roots) {
    try {
      TrustRoot root = TrustRoot::load(file.content, file.name);
      if (root.matches(fingerprint)) return root;
    } catch (const Error&) {
      // Not a root, or not one that holds: no candidate.
    }
  }
  return std::nullopt;
}

std::string signature_file_name(std::string_view document_name,
                                const MinisignSignature& signature) {
  const std::string_view stem = document_name.substr(0, document_name.rfind('.'));
  return fmt::format("{}.{}.minisig", stem, signature.key_id.text());
}

}  // namespace bundle::trust
