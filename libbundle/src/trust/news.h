// News: what a medium carries beside a release, each signed on its own: the newest revocation list
// and channel pointers. Files are named by their number, "7.stable.channel.json" and
// "5.revocations.json", so that copies from several media never clash.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trust/trust_root.h"

namespace bundle::trust {

inline constexpr std::string_view kRevocationsSuffix = "revocations.json";
inline constexpr std::string_view kChannelSuffix = ".channel.json";

// "7.stable.channel.json" is number 7 of "stable.channel.json".
struct NumberedName {
  std::uint64_t number = 0;
  std::string stem;
};
// Nothing for a name of another shape.
std::optional<NumberedName> parse_numbered(std::string_view name);
std::string revocations_name(std::uint64_t sequence);
std::string pointer_name(const ChannelPointer& pointer);
// True for a name that news may have.
bool is_news_name(std::string_view name);
// True when `name` is a signature file of the document called `document`.
bool is_signature_of(std::string_view name, std::string_view document);

// The names among `names` of news (and of their signatures) that a higher number replaces.
std::vector<std::string> superseded_news(std::span<const std::string> names);

// A verified document with the signature files that it came with.
template <typename Document>
struct Signed {
  Verified<Document> document;
  std::vector<SignatureFile> signatures;
};

struct News {
  std::vector<Signed<RevocationList>> revocations;  // at most one a product
  std::vector<Signed<ChannelPointer>> pointers;     // at most one a product and channel
};

// Verifies the newest of each kind among `files` (documents and signatures of one folder or
// bundle). The name tells which is newest; the number inside must say the same. Expiry of pointers
// is left to the caller: old news on a medium are no reason to refuse the release beside them.
// Throws what verify_pointer and verify_revocations throw.
News read_news(const TrustRoot& root, std::span<const SignatureFile> files,
               std::optional<UnixTime> now);

// Throws Error{revoked} when `list` names the release, or too many of its signers.
void check_revoked(const TrustRoot& root, const RevocationList& list,
                   const VerifiedRelease& release);
// Why `list` revokes a release with this statement and version; nothing when it does not.
std::optional<std::string> revocation_reason(const RevocationList& list, const Digest& statement,
                                             std::string_view version);
// Throws Error{revoked} when `list` names so many of `signers` that the threshold of `role` in
// `root` is no longer met.
void check_signers(const TrustRoot& root, const RevocationList& list, std::string_view role,
                   std::span<const std::string> signers, std::string_view what);

}  // namespace bundle::trust
