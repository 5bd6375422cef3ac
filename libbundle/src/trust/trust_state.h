// What a site remembers about trust: the pinned root and its chain, the highest numbers accepted,
// the latest signed time seen, the newest revocation lists. Plain files below one directory:
//   root.pub       a bare minisign public key, when the site was pinned with one
//   <N>.root.json  every root of the chain since the pinned one
//   root.json      copy of the newest of them: the current root
//   state.json     the numbers, and a time statement that is in force
//   site-id        32 hex digits: whom a time statement is for
//   <product>/<N>.revocations.json, with its signatures: the list in force
// Written atomically. The caller holds the store's lock while it calls a function that is not
// const.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bundle/error.h"
#include "io/file_system.h"
#include "trust/news.h"
#include "trust/trust_root.h"

namespace bundle::trust {

// The highest number accepted so far, and who signed for it.
struct HighWater {
  std::uint64_t number = 0;
  std::string version;               // release version, for people; empty for revocations
  UnixTime created = 0;              // latest one accepted
  std::vector<std::string> signers;  // TUF key ids; none: nobody who counts vouches for it now
  std::optional<Digest> document;    // which one it was; not for releases
  bool operator==(const HighWater&) const = default;
};

using HighWaters = std::map<std::string, HighWater, std::less<>>;

class TrustState {
 public:
  // `directory` need not exist; it is made by the first write.
  // Throws Error{store_invalid} naming the file that cannot be read.
  TrustState(FileSystem& fs, Path directory);

  // The pinned root, as far as the site has followed the chain.
  const std::optional<TrustRoot>& current() const { return root_; }
  // Throws Error{no_trust}.
  const TrustRoot& require_root() const;
  // Every root since the pinned one, for carrying them on. No bare key.
  std::vector<RootFile> chain() const;

  // Pins the first root of a site. With a root pinned already: nothing when `root` is one of its
  // chain, one step when it is the next link; else Error{wrong_key}.
  void pin(const TrustRoot& root);
  // Follows the chain in `roots` and keeps every link. Numbers that only keys without a role in the
  // new root vouch for are forgotten (TUF's fast-forward recovery). Returns the current root.
  const TrustRoot& update_root(std::span<const RootFile> roots);

  // The latest time at which something accepted here was signed; 0 at first.
  UnixTime time_floor() const;
  // What time it is here: what the clock says, or what a time statement makes of it as long as it
  // covers the clock. May be below the floor: then nobody knows what time it is.
  UnixTime site_time(UnixTime clock) const;
  // The later of site_time() and the floor, for expiry dates: a clock that went back cannot revive
  // what has expired.
  UnixTime effective_now(UnixTime clock) const;
  // Who this site is to a time statement; made when the first root is pinned, empty before.
  const std::string& site_id() const { return site_id_; }
  const std::optional<TimeStatement>& time_override() const { return override_; }
  // Throws Error{statement_mismatch} for another site, {expired} when it does not cover `clock`,
  // {rollback} when it is older than the floor.
  void accept_time(const VerifiedTime& statement, UnixTime clock);
  // `error` with what an operator needs to tell a wrong clock from old files, when it is `expired`;
  // otherwise as it is.
  Error explain(const Error& error, UnixTime clock) const;

  // Changes nothing. Throws Error{rollback} when the release number is below the highest accepted
  // or belongs to another version, unless the release is `already_imported`: going back to a
  // release that the site holds is the operator's decision, and brings nothing in from outside.
  void check_release(const VerifiedRelease& release, bool already_imported) const;
  // check_release(), then remembers. Call it when the release is about to be published.
  void accept_release(const VerifiedRelease& release, bool already_imported);

  // Throws Error{rollback} when the sequence is below the highest of its channel, or is the highest
  // one of another pointer; Error{revoked} when revoked keys signed it.
  void check_pointer(const VerifiedPointer& pointer) const;
  void accept_pointer(const VerifiedPointer& pointer);

  // The revocation list in force for a product: the stored one, or that in `carried` when it is
  // newer. Its keys count only as long as the current root vouches for the list.
  // Throws Error{rollback} when the two share a sequence and differ, Error{revoked} when the newer
  // one is signed by keys that the stored one names, Error{store_invalid}.
  std::optional<RevocationList> revocations(const std::string& product,
                                            const News& carried = {}) const;
  // Keeps the list when it is newer than the stored one, with the files that it was verified with.
  // True when it was. Throws as revocations().
  bool accept_revocations(const VerifiedRevocations& list,
                          std::span<const SignatureFile> signatures);
  // Throws Error{revoked} when the list in force names the release, or so many of its signers that
  // the threshold of the release role in the current root is no longer met.
  void check_revoked(const VerifiedRelease& release) const;

  const HighWaters& releases() const { return releases_; }         // by product
  const HighWaters& channels() const { return channels_; }         // by "product/channel"
  const HighWaters& revocation_lists() const { return revoked_; }  // by product

 private:
  void load_root();
  void load_state();
  void save_state() const;
  void write(const std::string& name, std::string_view content) const;
  void store_root(const TrustRoot& root);
  std::optional<TrustRoot> stored_root(std::uint64_t version) const;
  void forget_removed_signers();
  void make_site_id();
  bool supersedes(const VerifiedRevocations& list) const;
  std::optional<RevocationList> stored_revocations(const std::string& product) const;

  FileSystem& fs_;
  Path directory_;
  std::optional<TrustRoot> root_;
  HighWaters releases_;
  HighWaters channels_;
  HighWaters revoked_;
  std::string site_id_;
  std::optional<TimeStatement> override_;
  std::vector<std::string> override_signers_;
};

}  // namespace bundle::trust
