#include "trust/trust_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "codec/json.h"
#include "trust/document.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

using codec::Json;

constexpr std::string_view kStateType = "trust-state";
constexpr std::string_view kStateFile = "state.json";
constexpr std::string_view kBareKeyFile = "root.pub";
constexpr std::string_view kRootFile = "root.json";
constexpr std::size_t kMaxKeyBytes = 2 * kMaxNameBytes + 1;

std::string root_file_name(std::uint64_t version) {
  return version == 0 ? std::string(kBareKeyFile) : fmt::format("{}.{}", version, kRootFile);
}

std::string revocations_name(std::string_view product) {
  return fmt::format("{}.revocations.json", product);
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
    };
  }
  return marks;
}

void raise(HighWater& mark, std::uint64_t number, std::string version, UnixTime created,
           const std::vector<std::string>& signers) {
  mark.created = std::max(mark.created, created);
  if (number < mark.number) return;
  mark.number = number;
  mark.version = std::move(version);
  mark.signers = signers;
}

std::size_t count_in_role(const std::vector<std::string>& signers, const RootRole& role) {
  return static_cast<std::size_t>(std::ranges::count_if(signers, [&](const std::string& signer) {
    return std::ranges::find(role.key_ids, signer) != role.key_ids.end();
  }));
}

UnixTime latest(const HighWaters& marks) {
  UnixTime time = 0;
  for (const auto& [key, mark] : marks) time = std::max(time, mark.created);
  return time;
}

}  // namespace

TrustState::TrustState(FileSystem& fs, Path directory) : fs_(fs), directory_(std::move(directory)) {
  load_root();
  load_state();
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
  const auto forget = [&](HighWaters& marks, std::string_view role_name) {
    const RootRole* role = find_role(root_->metadata(), role_name);
    return std::erase_if(marks, [&](const auto& entry) {
      return role == nullptr || count_in_role(entry.second.signers, *role) < role->threshold;
    });
  };
  const auto forgotten = forget(releases_, role::kRelease) + forget(channels_, role::kTimestamp) +
                         forget(revoked_, role::kRelease);
  if (forgotten > 0) save_state();
}

UnixTime TrustState::time_floor() const {
  return std::max({latest(releases_), latest(channels_), latest(revoked_)});
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
        release.signers());
  if (releases_ != before) save_state();
}

void TrustState::check_pointer(const VerifiedPointer& pointer) const {
  const auto found = channels_.find(channel_key(*pointer));
  if (found == channels_.end()) return;
  const HighWater& highest = found->second;
  if (pointer->sequence > highest.number) return;
  if (pointer->sequence == highest.number && pointer->release_version == highest.version) return;
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
        pointer->created, pointer.signers());
  if (channels_ != before) save_state();
}

void TrustState::accept_revocations(const VerifiedRevocations& list,
                                    std::span<const SignatureFile> signatures) {
  const auto found = revoked_.find(list->product);
  if (found != revoked_.end() && list->sequence <= found->second.number) return;
  const std::string name = revocations_name(list->product);
  for (const SignatureFile& file : signatures) {
    const auto signature = MinisignSignature::parse(file.content, file.name);
    write(signature_file_name(name, signature), file.content);
  }
  write(name, list.raw());
  raise(revoked_[list->product], list->sequence, "", list->created, list.signers());
  save_state();
}

std::optional<RevocationList> TrustState::revocations(const std::string& product) const {
  const Path path = directory_ / revocations_name(product);
  if (!fs_.status(path)) return std::nullopt;
  return parse_revocations(read_text_file(fs_, path, kMaxRevocationBytes), path.string());
}

void TrustState::check_revoked(const VerifiedRelease& release) const {
  const auto list = revocations(release->product);
  if (!list) return;
  for (const RevokedRelease& entry : list->releases) {
    if (entry.statement_digest != release.digest() && entry.version != release->version) continue;
    throw Error(ErrorCode::revoked,
                fmt::format("the vendor has revoked release {}{}{}", release->version,
                            entry.reason.empty() ? "" : ": ", entry.reason),
                "Import and activate another release.");
  }
  std::vector<std::string> left = release.signers();
  std::erase_if(left, [&](const std::string& signer) {
    return std::ranges::binary_search(list->keys, signer);
  });
  const RootRole* role = find_role(require_root().metadata(), role::kRelease);
  const std::uint64_t threshold = role == nullptr ? 1 : role->threshold;
  if (left.size() < release.signers().size() && left.size() < threshold) {
    throw Error(ErrorCode::revoked,
                fmt::format("release {} is signed by revoked keys: {} valid signatures are left, "
                            "{} are demanded",
                            release->version, left.size(), threshold),
                "Get a copy that the vendor has signed again with its new keys.");
  }
}

}  // namespace bundle::trust
