#include "trust/trust_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/json.h"
#include "crypto/random.h"
#include "trust/document.h"
#include "trust/limits.h"
#include "trust/news_files.h"

namespace bundle::trust {
namespace {

using codec::Json;

constexpr std::string_view kStateType = "trust-state";
constexpr std::string_view kStateFile = "state.json";
constexpr std::string_view kBareKeyFile = "root.pub";
constexpr std::string_view kRootFile = "root.json";
constexpr std::string_view kSiteIdFile = "site-id";
constexpr std::size_t kSiteIdBytes = 16;
constexpr std::size_t kMaxKeyBytes = 2 * kMaxNameBytes + 1;

std::string root_file_name(std::uint64_t version) {
  return version == 0 ? std::string(kBareKeyFile) : fmt::format("{}.{}", version, kRootFile);
}

std::string channel_key(const ChannelPointer& pointer) {
  return fmt::format("{}/{}", pointer.product, pointer.channel);
}

Json encode(const HighWaters& marks) {
  Json list = Json::array();
  for (const auto& [key, mark] : marks) {
    Json signers = Json::array();
    for (const std::string& signer : mark.signers) signers.push_back(signer);
    Json entry;
    entry.set("key", key);
    entry.set("number", mark.number);
    entry.set("version", mark.version);
    entry.set("created", format_time(mark.created));
    entry.set("signers", std::move(signers));
    if (mark.document) entry.set("document", mark.document->text());
    list.push_back(std::move(entry));
  }
  return list;
}

HighWaters decode(const Fields& state, std::string_view member) {
  HighWaters marks;
  for (const Fields& entry : state.objects(member, kMaxRevocationEntries)) {
    marks[entry.text("key", kMaxKeyBytes)] = {
        .number = entry.number("number", 1),
        .version = entry.text("version", kMaxNameBytes),
        .created = entry.time("created"),
        .signers = entry.strings("signers", kMaxRootKeys),
        .document = entry.has("document") ? std::optional(entry.digest("document")) : std::nullopt,
    };
  }
  return marks;
}

void raise(HighWater& mark, std::uint64_t number, std::string version, UnixTime created,
           const std::vector<std::string>& signers, std::optional<Digest> document) {
  mark.created = std::max(mark.created, created);
  if (number < mark.number) return;
  mark.number = number;
  mark.version = std::move(version);
  mark.signers = signers;
  mark.document = document;
}

Json encode_override(const TimeStatement& statement, const std::vector<std::string>& signers) {
  Json list = Json::array();
  for (const std::string& signer : signers) list.push_back(signer);
  Json out;
  out.set("created", format_time(statement.created));
  out.set("from", format_time(statement.clock_from));
  out.set("until", format_time(statement.clock_until));
  out.set("signers", std::move(list));
  return out;
}

UnixTime latest(const HighWaters& marks) {
  UnixTime time = 0;
  for (const auto& [key, mark] : marks) time = std::max(time, mark.created);
  return time;
}

}  // namespace

TrustState::TrustState(FileSystem& fs, Path directory) : fs_(fs), directory_(std::move(directory)) {
  load_root();
  if (fs_.status(directory_ / kSiteIdFile)) {
    site_id_ = read_text_file(fs_, directory_ / kSiteIdFile, 2 * kSiteIdBytes);
  }
  load_state();
}

void TrustState::make_site_id() {
  if (!site_id_.empty()) return;
  const std::string id = to_hex(random_bytes(kSiteIdBytes));
  write(std::string(kSiteIdFile), id);
  site_id_ = id;
}

void TrustState::load_root() {
  const std::string name(fs_.status(directory_ / kRootFile) ? kRootFile : kBareKeyFile);
  const Path path = directory_ / name;
  if (!fs_.status(path)) return;
  try {
    root_ = TrustRoot::load(read_text_file(fs_, path, kMaxRootBytes), path.string());
  } catch (const Error& error) {
    throw Error(ErrorCode::store_invalid, error.message(),
                "The store's trust directory is damaged. Restore it from a backup, or pin the "
                "vendor's root in a new store.");
  }
}

void TrustState::load_state() {
  const Path path = directory_ / kStateFile;
  if (!fs_.status(path)) return;
  try {
    const std::string text = read_text_file(fs_, path, kMaxStateBytes);
    const Json document = parse_document(text, path.string(), kStateType, kMaxStateBytes);
    const Fields fields(document, path.string());
    releases_ = decode(fields, "releases");
    channels_ = decode(fields, "channels");
    revoked_ = decode(fields, "revocations");
    if (fields.has("time")) {
      const Fields time = fields.object("time");
      override_ = {site_id_, time.time("created"), time.time("from"), time.time("until")};
      override_signers_ = time.strings("signers", kMaxRootKeys);
    }
  } catch (const Error& error) {
    throw Error(ErrorCode::store_invalid, error.message(),
                "This file protects the site against older releases. Restore it from a backup.");
  }
}

void TrustState::write(const std::string& name, std::string_view content) const {
  fs_.create_directories(directory_);
  write_file_atomically(fs_, directory_ / name, as_bytes(content));
}

void TrustState::save_state() const {
  Json state = new_document(kStateType);
  state.set("releases", encode(releases_));
  state.set("channels", encode(channels_));
  state.set("revocations", encode(revoked_));
  if (override_) state.set("time", encode_override(*override_, override_signers_));
  write(std::string(kStateFile), codec::canonical_json(state));
}

const TrustRoot& TrustState::require_root() const {
  if (!root_) {
    throw Error(
        ErrorCode::no_trust,
        fmt::format("{} has no trust root, so nothing can be verified", directory_.string()),
        "Give the vendor's public key or trust root with --trust, as you got it by a way "
        "that you trust.");
  }
  return *root_;
}

std::optional<TrustRoot> TrustState::stored_root(std::uint64_t version) const {
  const Path path = directory_ / root_file_name(version);
  if (!fs_.status(path)) return std::nullopt;
  return TrustRoot::load(read_text_file(fs_, path, kMaxRootBytes), path.string());
}

std::vector<RootFile> TrustState::chain() const {
  std::vector<RootFile> files;
  if (!root_) return files;
  for (std::uint64_t version = root_->version(); version > 0; --version) {
    const auto root = stored_root(version);
    if (!root) break;
    files.push_back({root_file_name(version), root->raw()});
  }
  std::ranges::reverse(files);
  return files;
}

void TrustState::store_root(const TrustRoot& root) {
  write(root_file_name(root.version()), root.raw());
  // Last, so that a crash leaves the older root current and the newer one to be fetched again.
  if (!root.is_bare_key()) write(std::string(kRootFile), root.raw());
  root_ = root;
}

void TrustState::pin(const TrustRoot& root) {
  if (!root_) {
    make_site_id();
    store_root(root);
    return;
  }
  if (const auto known = stored_root(root.version()); known && known->matches(root.fingerprint())) {
    return;
  }
  if (root.version() == root_->version() + 1) {
    try {
      update_root(std::vector<RootFile>{{root_file_name(root.version()), root.raw()}});
    } catch (const Error& error) {
      // Not the next link of this chain: a foreign root, told below.
      if (error.code() != ErrorCode::root_chain_broken) throw;
    }
    if (root_->matches(root.fingerprint())) return;
  }
  throw Error(
      ErrorCode::wrong_key,
      fmt::format("this site trusts root {} with fingerprint {}; the one given is {} with "
                  "fingerprint {}",
                  root_->version(), root_->fingerprint(), root.version(), root.fingerprint()),
      "Leave --trust away: the site keeps the root that it was set up with, and follows the "
      "vendor's "
      "newer roots from any medium that carries them.");
}

const TrustRoot& TrustState::update_root(std::span<const RootFile> roots) {
  const std::vector<TrustRoot> links = require_root().newer_roots(roots);
  for (const TrustRoot& link : links) store_root(link);
  if (!links.empty()) forget_removed_signers();
  return *root_;
}

void TrustState::forget_removed_signers() {
  const TrustRoot& root = *root_;
  const auto unvouched = [&](std::string_view role_name, const std::vector<std::string>& signers) {
    const RootRole* role = find_role(root.metadata(), role_name);
    return role == nullptr || root.count_signers(role_name, signers, {}) < role->threshold;
  };
  const auto forget = [&](HighWaters& marks, std::string_view role_name) {
    std::erase_if(marks,
                  [&](const auto& entry) { return unvouched(role_name, entry.second.signers); });
  };
  forget(releases_, role::kRelease);
  forget(channels_, role::kTimestamp);
  // A list stays in force until the vendor's next one, whatever its number; its date does not.
  for (auto& [product, mark] : revoked_) {
    if (unvouched(role::kRelease, mark.signers)) {
      mark.signers.clear();
      mark.created = 0;
    }
  }
  if (override_ && unvouched(role::kRoot, override_signers_)) override_.reset();
  save_state();
}

UnixTime TrustState::time_floor() const {
  return std::max(
      {latest(releases_), latest(channels_), latest(revoked_), override_ ? override_->created : 0});
}

UnixTime TrustState::site_time(UnixTime clock) const {
  return override_ && override_->covers(clock) ? override_->at(clock) : clock;
}

UnixTime TrustState::effective_now(UnixTime clock) const {
  return std::max(site_time(clock), time_floor());
}

void TrustState::accept_time(const VerifiedTime& statement, UnixTime clock) {
  if (site_id_.empty() || statement->site != site_id_) {
    throw Error(ErrorCode::statement_mismatch,
                fmt::format("the time statement is for site {}, this is site {}", statement->site,
                            site_id_.empty() ? "without an id" : site_id_),
                "Ask the vendor for one for this site: 'bundle-import trust show' prints its id.");
  }
  if (!statement->covers(clock)) {
    throw Error(ErrorCode::expired,
                fmt::format("the time statement is for a clock between {} and {}; the clock here "
                            "shows {}",
                            format_time(statement->clock_from), format_time(statement->clock_until),
                            format_time(clock)),
                "Tell the vendor what the clock shows now and ask for a new time statement.");
  }
  if (statement->created < time_floor()) {
    throw Error(ErrorCode::rollback,
                fmt::format("the time statement says {}, but something signed at {} has been "
                            "accepted here",
                            format_time(statement->created), format_time(time_floor())),
                "Ask the vendor for a new time statement.");
  }
  override_ = *statement;
  override_signers_ = statement.signers();
  save_state();
}

Error TrustState::explain(const Error& error, UnixTime clock) const {
  if (error.code() != ErrorCode::expired) return error;
  std::string basis = fmt::format("The clock here shows {}", format_time(clock));
  if (override_ && override_->covers(clock)) {
    basis +=
        fmt::format(", which a time statement corrects to {}", format_time(override_->at(clock)));
  }
  if (time_floor() > 0) {
    basis += fmt::format("; the latest signed date accepted is {}", format_time(time_floor()));
  }
  return {error.code(), error.message(),
          fmt::format("{}. If that is right, the files are too old: ask the vendor for newer ones. "
                      "If the clock is wrong, set it. If it cannot be set, ask the vendor for a "
                      "time statement for site {} and give it to 'bundle-import trust update'.",
                      basis, site_id_.empty() ? "(pin a root first)" : site_id_)};
}

void TrustState::check_release(const VerifiedRelease& release, bool already_imported) const {
  const auto found = releases_.find(release->product);
  if (found == releases_.end() || already_imported) return;
  const HighWater& highest = found->second;
  if (release->release_number > highest.number) return;
  if (release->release_number == highest.number && release->version == highest.version) return;
  throw Error(
      ErrorCode::rollback,
      fmt::format("release {} has number {}, and this site has accepted release {} with "
                  "number {}",
                  release->version, release->release_number, highest.version, highest.number),
      "Older releases are not brought in again. To go back to a release that is in the "
      "store, activate it there.");
}

void TrustState::accept_release(const VerifiedRelease& release, bool already_imported) {
  check_release(release, already_imported);
  const HighWaters before = releases_;
  raise(releases_[release->product], release->release_number, release->version, release->created,
        release.signers(), std::nullopt);
  if (releases_ != before) save_state();
}

void TrustState::check_pointer(const VerifiedPointer& pointer) const {
  if (const auto list = stored_revocations(pointer->product)) {
    check_signers(require_root(), *list, role::kTimestamp, pointer.signers(),
                  fmt::format("the pointer of channel {}", pointer->channel));
  }
  const auto found = channels_.find(channel_key(*pointer));
  if (found == channels_.end()) return;
  const HighWater& highest = found->second;
  if (pointer->sequence > highest.number) return;
  if (pointer->sequence == highest.number &&
      highest.document.value_or(pointer.digest()) == pointer.digest() &&
      pointer->release_version == highest.version) {
    return;
  }
  throw Error(ErrorCode::rollback,
              fmt::format("channel {} stands at sequence {} (release {}) here, and the pointer "
                          "offered has sequence {} (release {})",
                          pointer->channel, highest.number, highest.version, pointer->sequence,
                          pointer->release_version),
              "The medium or mirror is older than what this site has seen. Use a newer one.");
}

void TrustState::accept_pointer(const VerifiedPointer& pointer) {
  check_pointer(pointer);
  const HighWaters before = channels_;
  raise(channels_[channel_key(*pointer)], pointer->sequence, pointer->release_version,
        pointer->created, pointer.signers(), pointer.digest());
  if (channels_ != before) save_state();
}

std::optional<RevocationList> TrustState::stored_revocations(const std::string& product) const {
  const auto found = revoked_.find(product);
  if (found == revoked_.end()) return std::nullopt;
  const HighWater& mark = found->second;
  const Path path = directory_ / product / revocations_name(mark.number);
  try {
    const std::string text = read_text_file(fs_, path, kMaxRevocationBytes);
    if (sha256(as_bytes(text)) != mark.document) {
      throw Error(ErrorCode::store_invalid, fmt::format("{} was changed", path.string()));
    }
    RevocationList list = parse_revocations(text, path.string());
    if (mark.signers.empty()) list.keys.clear();
    return list;
  } catch (const Error& error) {
    throw Error(ErrorCode::store_invalid, error.message(),
                "This file keeps revoked releases away. Restore it from a backup.");
  }
}

bool TrustState::supersedes(const VerifiedRevocations& list) const {
  const auto found = revoked_.find(list->product);
  if (found == revoked_.end() || found->second.signers.empty()) return true;
  const HighWater& mark = found->second;
  if (list->sequence == mark.number && list.digest() != mark.document) {
    throw Error(
        ErrorCode::rollback,
        fmt::format("this site has another revocation list {} of {}", mark.number, list->product),
        "A number is never used twice: ask the vendor for a newer list.");
  }
  if (list->sequence <= mark.number) return false;
  check_signers(require_root(), *stored_revocations(list->product), role::kRelease, list.signers(),
                fmt::format("revocation list {}", list->sequence));
  return true;
}

std::optional<RevocationList> TrustState::revocations(const std::string& product,
                                                      const News& carried) const {
  for (const auto& [list, signatures] : carried.revocations) {
    if (list->product == product && supersedes(list)) return *list;
  }
  return stored_revocations(product);
}

bool TrustState::accept_revocations(const VerifiedRevocations& list,
                                    std::span<const SignatureFile> signatures) {
  if (!supersedes(list)) return false;
  const Path folder = directory_ / list->product;
  write_signed(fs_, folder, revocations_name(list->sequence), list.raw(), signatures);
  // Not raised but replaced: a number that nobody vouches for any more may be higher.
  revoked_[list->product] = {list->sequence, "", list->created, list.signers(), list.digest()};
  save_state();
  remove_others(fs_, folder, revocations_name(list->sequence));
  return true;
}

void TrustState::check_revoked(const VerifiedRelease& release) const {
  if (const auto list = stored_revocations(release->product)) {
    trust::check_revoked(require_root(), *list, release);
  }
}

}  // namespace bundle::trust
