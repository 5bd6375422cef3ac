// Trust: who may sign, on the vendor's side and at a site. What the documents say and why:
// docs/trust-model.md.
//
// The vendor keeps one folder with everything that sites follow: <N>.root.json (all of them),
// <N>.revocations.json, <N>.<channel>.channel.json, and signature files <document>.<KEYID>.minisig.
// It holds no secret. Bundles carry what is newest in it.
//
// All functions are safe to call from several threads for different folders. Memory: a few MiB.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "bundle/make.h"

namespace bundle {

struct TrustKeyReport {
  std::string id;           // TUF key id, 64 hex digits
  std::string minisign_id;  // what minisign prints; empty when the root does not tell
  std::vector<std::string> roles;
};
struct TrustRoleReport {
  std::string name;
  std::uint64_t threshold = 0;
  std::vector<std::string> keys;  // TUF key ids
};
struct TrustRootReport {
  std::uint64_t version = 0;  // 0: a bare public key
  std::string fingerprint;
  std::string expires;  // empty: a bare key
  std::vector<TrustKeyReport> keys;
  std::vector<TrustRoleReport> roles;
  // Signatures that are still needed before sites accept it: by its own root keys, and by those of
  // the version before. Always 0 at a site.
  std::uint64_t missing_own = 0;
  std::uint64_t missing_previous = 0;
};

// --- The vendor ---------------------------------------------------------------------------------

inline constexpr unsigned kDefaultRootDays = 365;
inline constexpr unsigned kDefaultPointerDays = 14;

struct TrustInit {
  std::filesystem::path folder;
  // Role ("root", "release", "timestamp", "carrier") to public key files. Each needs a key; with
  // `from`, that key has every role besides.
  std::map<std::string, std::vector<std::filesystem::path>> keys;
  std::map<std::string, std::uint64_t> thresholds;  // 1 where none is given
  unsigned expires_days = kDefaultRootDays;
  std::filesystem::path from;  // bare public key that sites are pinned to; its signature is needed
};
// Writes 1.root.json, unsigned. Throws Error{name_collision} when the folder has roots already.
TrustRootReport trust_init(const TrustInit& options);

// Writes the next root, unsigned, with everything as it is in the newest one.
// Throws Error{usage} when the newest one lacks signatures.
TrustRootReport trust_rotate(const std::filesystem::path& folder, unsigned expires_days);
// Change the newest root, which nobody must have signed yet: Error{usage} otherwise.
// `threshold` 0 leaves it. An empty role removes the key from all.
TrustRootReport trust_add_key(const std::filesystem::path& folder, const std::string& role,
                              const std::filesystem::path& public_key, std::uint64_t threshold);
// `key`: a TUF key id, a minisign key id, or a public key file.
TrustRootReport trust_remove_key(const std::filesystem::path& folder, const std::string& role,
                                 const std::string& key, std::uint64_t threshold);

struct TrustSignReport {
  std::filesystem::path file;  // the root, or the signature file that was written
  std::string comment;         // what was signed along
  bool root = false;
  std::uint64_t missing_own = 0;  // of a root, as in TrustRootReport
  std::uint64_t missing_previous = 0;
};
// Signs the newest root of a folder, or one document: a root in place; statement, carrier, pointer,
// revocation list and time statement into a signature file beside it. What a signer on another
// machine does with a copy. Throws Error{usage} for a key that cannot count.
TrustSignReport trust_sign(const std::filesystem::path& path, const SignWith& sign);

struct TrustMergeReport {
  std::vector<std::string> files;  // that gained a signature
};
// Brings signatures from copies (`others`: folders) to the documents in `folder`: roots, and
// signature files of documents that are in both with the same bytes.
// Throws Error{not_found} when nothing fits, Error{statement_mismatch} when a copy says something
// else.
TrustMergeReport trust_merge(const std::filesystem::path& folder,
                             const std::vector<std::filesystem::path>& others);

// The newest root of a folder, or one root or public key file.
TrustRootReport trust_show(const std::filesystem::path& path);

struct TrustRevoke {
  std::filesystem::path folder;
  std::vector<std::filesystem::path> releases;  // bundles, or statement.json files
  std::vector<std::string> keys;                // as for trust_remove_key
  std::string product;                          // needed when no release is named
  std::string reason;                           // for people, for the releases
  SignWith sign;
};
struct SignedDocumentReport {
  std::filesystem::path file;
  std::uint64_t number = 0;
  std::vector<std::string> signatures;  // file names; none: sign it with trust_sign
  std::size_t volumes = 0;              // that carry it now (promote)
};
// Writes the next revocation list: all of the newest one, and these.
SignedDocumentReport trust_revoke(const TrustRevoke& options);

struct TrustTime {
  std::string site;   // what the site prints as its id
  std::string clock;  // what the site's clock shows now, "2035-01-31T08:00:00Z"
  unsigned days = 7;  // of the site's clock from then on, at most 31
  std::filesystem::path out;
  SignWith sign;  // keys of the root role
};
// Writes a time statement; the true time in it is this machine's clock (or SOURCE_DATE_EPOCH).
SignedDocumentReport trust_time(const TrustTime& options);

struct PromoteOptions {
  std::filesystem::path bundle;  // folder, or a statement.json, which carries nothing; or
  std::string from;              // the channel whose release this one goes to as well
  std::filesystem::path folder;  // the vendor's trust folder; keeps the history of each channel
  std::string channel;
  // With `from`: public key or root that sites are pinned to; empty: the folder's oldest root.
  std::filesystem::path trust;
  unsigned expires_days = kDefaultPointerDays;
  // Why the channel goes to a release whose base image is stale; signed with the pointer.
  std::string stale_base;
  SignWith sign;
};
// Points the channel to the bundle's release, or to that of another channel: a new pointer in the
// trust folder and, when it was signed, everything newest of the folder in the bundle. No blob is
// touched, nothing is built. Throws Error{gate_refused} for a bundle whose base image is older than
// its policy, unless the channel stands at it already or there is a reason; {not_found, wrong_key,
// expired, ...} when the pointer of `from` is not there, or sites would not follow it.
SignedDocumentReport promote(const PromoteOptions& options);

// Puts the roots, the newest revocation list and the newest pointers of the trust folder into every
// volume, after checking that sites would accept them. Returns the number of volumes.
std::size_t carry_trust(const std::filesystem::path& bundle, const std::filesystem::path& folder);

// --- The site -----------------------------------------------------------------------------------

struct SiteChannel {
  std::string product;
  std::string channel;
  std::uint64_t sequence = 0;
  std::string version;  // release that it stands at
  std::string created;
  std::string expires;
  bool fresh = false;     // before its expiry
  bool in_store = false;  // that release is here
};
struct SiteRevocations {
  std::string product;
  std::uint64_t sequence = 0;
  std::string created;
  std::map<std::string, std::string> releases;  // version to reason
  std::vector<std::string> keys;
};
struct SiteTrust {
  TrustRootReport root;
  std::string site_id;           // for time statements
  std::string clock;             // what the machine says
  std::string effective_time;    // what expiry dates are compared with
  std::string latest_signed;     // latest date of anything accepted; empty at first
  bool clock_behind = false;     // the clock is before that: it is wrong
  bool clock_corrected = false;  // a time statement is in force
  std::string correction_until;  // reading of the clock at which it ends
  std::map<std::string, std::pair<std::string, std::uint64_t>> highest;  // product: version, number
  std::vector<SiteChannel> channels;
  std::vector<SiteRevocations> revocations;
};
// Reads only. Throws Error{no_trust} before a root is pinned.
SiteTrust site_trust(const std::filesystem::path& store);

// Pins the first root or key, making the store when there is none. With a fingerprint, `file` must
// have it: Error{wrong_key}. A pinned site accepts only what leads to or from its chain.
SiteTrust pin_site_trust(const std::filesystem::path& store, const std::filesystem::path& file,
                         const std::string& fingerprint);

struct TrustUpdate {
  std::uint64_t root_before = 0;
  std::uint64_t root_after = 0;
  std::vector<std::string> learned;  // for people, one line a thing
};
// Takes in roots, revocation lists, a time statement and channel pointers from folders (a stick
// with loose files, a bundle) without a release. Stricter than an import: an older or expired
// pointer is Error{rollback|expired}; what was before it in this order stays accepted.
TrustUpdate update_site_trust(const std::filesystem::path& store,
                              const std::vector<std::filesystem::path>& sources);

}  // namespace bundle
