#include "trust/news.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "bundle/error.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

constexpr std::string_view kSignatureSuffix = ".minisig";
constexpr std::size_t kKeyIdDigits = 16;

bool is_news_stem(std::string_view stem) {
  return stem == kRevocationsSuffix ||
         (stem.ends_with(kChannelSuffix) && stem.size() > kChannelSuffix.size());
}

std::vector<SignatureFile> signatures_of(std::span<const SignatureFile> files,
                                         std::string_view document) {
  std::vector<SignatureFile> found;
  for (const SignatureFile& file : files) {
    const std::string_view name =
        std::string_view(file.name).substr(file.name.find_last_of('/') + 1);
    if (is_signature_of(name, document)) found.push_back(file);
  }
  return found;
}

void check_number(std::uint64_t inside, std::uint64_t named, std::string_view what) {
  if (inside == named) return;
  throw Error(ErrorCode::statement_invalid, fmt::format("{} has number {} inside", what, inside),
              "The file was renamed: copy it again from its origin under its own name.");
}

}  // namespace

std::optional<NumberedName> parse_numbered(std::string_view name) {
  std::uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || rest == end || *rest != '.' || name.front() == '0') {
    return std::nullopt;
  }
  return NumberedName{number, std::string(rest + 1, end)};
}

std::string revocations_name(std::uint64_t sequence) {
  return fmt::format("{}.{}", sequence, kRevocationsSuffix);
}

std::string pointer_name(const ChannelPointer& pointer) {
  return fmt::format("{}.{}{}", pointer.sequence, pointer.channel, kChannelSuffix);
}

bool is_news_name(std::string_view name) {
  const auto numbered = parse_numbered(name);
  return numbered && is_news_stem(numbered->stem);
}

bool is_signature_of(std::string_view name, std::string_view document) {
  const std::string_view stem = document.substr(0, document.rfind('.'));
  return name.size() == stem.size() + 1 + kKeyIdDigits + kSignatureSuffix.size() &&
         name.starts_with(stem) && name[stem.size()] == '.' && name.ends_with(kSignatureSuffix);
}

std::vector<std::string> superseded_news(std::span<const std::string> names) {
  std::map<std::string, std::uint64_t> newest;
  for (const std::string& name : names) {
    if (!is_news_name(name)) continue;
    const auto numbered = *parse_numbered(name);
    std::uint64_t& highest = newest[numbered.stem];
    highest = std::max(highest, numbered.number);
  }
  std::vector<std::string> old;
  for (const std::string& name : names) {
    if (!is_news_name(name)) continue;
    const auto numbered = *parse_numbered(name);
    if (numbered.number == newest.at(numbered.stem)) continue;
    old.push_back(name);
    std::ranges::copy_if(names, std::back_inserter(old),
                         [&](const std::string& other) { return is_signature_of(other, name); });
  }
  return old;
}

News read_news(const TrustRoot& root, std::span<const SignatureFile> files,
               std::optional<UnixTime> now) {
  std::map<std::string, std::pair<NumberedName, const SignatureFile*>, std::less<>> newest;
  for (const SignatureFile& file : files) {
    const std::string_view name =
        std::string_view(file.name).substr(file.name.find_last_of('/') + 1);
    if (!is_news_name(name)) continue;
    NumberedName numbered = *parse_numbered(name);
    auto& place = newest[numbered.stem];
    if (place.second == nullptr || place.first.number < numbered.number) {
      place = {std::move(numbered), &file};
    }
  }
  News news;
  if (!newest.empty()) root.require_unexpired(now);
  for (const auto& [stem, found] : newest) {
    const auto& [numbered, file] = found;
    auto signatures = signatures_of(files, fmt::format("{}.{}", numbered.number, stem));
    if (stem == kRevocationsSuffix) {
      auto list = root.verify_revocations(file->content, signatures, std::nullopt, file->name);
      check_number(list->sequence, numbered.number, file->name);
      news.revocations.push_back({std::move(list), std::move(signatures)});
    } else {
      auto pointer = root.verify_pointer(file->content, signatures, std::nullopt, file->name);
      check_number(pointer->sequence, numbered.number, file->name);
      news.pointers.push_back({std::move(pointer), std::move(signatures)});
    }
  }
  return news;
}

std::optional<std::string> revocation_reason(const RevocationList& list, const Digest& statement,
                                             std::string_view version) {
  for (const RevokedRelease& entry : list.releases) {
    if (entry.statement_digest == statement || entry.version == version) return entry.reason;
  }
  return std::nullopt;
}

void check_revoked(const TrustRoot& root, const RevocationList& list,
                   const VerifiedRelease& release) {
  if (const auto reason = revocation_reason(list, release.digest(), release->version)) {
    throw Error(ErrorCode::revoked,
                fmt::format("the vendor has revoked release {}{}{}", release->version,
                            reason->empty() ? "" : ": ", *reason),
                "Import and activate another release.");
  }
  check_signers(root, list, role::kRelease, release.signers(),
                fmt::format("release {}", release->version));
}

void check_signers(const TrustRoot& root, const RevocationList& list, std::string_view role,
                   std::span<const std::string> signers, std::string_view what) {
  const std::size_t left = root.count_signers(role, signers, list.keys);
  const RootRole* const demanded = find_role(root.metadata(), role);
  const std::uint64_t threshold = demanded == nullptr ? 1 : demanded->threshold;
  if (left >= threshold || left == root.count_signers(role, signers, {})) return;
  throw Error(ErrorCode::revoked,
              fmt::format("{} is signed by revoked keys: {} valid signatures are left, {} are "
                          "demanded",
                          what, left, threshold),
              "Get a copy that the vendor has signed again with its new keys.");
}

}  // namespace bundle::trust
