#include "bundle/site.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "base/thread_pool.h"
#include "base/time.h"
#include "bundle/error.h"
#include "release/gate.h"
#include "release/manifest.h"
#include "store/store_writer.h"
#include "trust/trust_state.h"

namespace bundle {
namespace {

using store::BlobEntry;
using store::ReleaseInfo;
using store::SiteStore;
using store::StoreWriter;

std::shared_ptr<SiteStore> open_store(const std::filesystem::path& root) {
  return SiteStore::open(posix_file_system(), root);
}

std::vector<BlobEntry> absent_blobs(const SiteStore& store, const std::string& version) {
  std::vector<BlobEntry> absent;
  for (const BlobEntry& blob : store.release_blobs(version)) {
    if (!store.has_blob(blob)) absent.push_back(blob);
  }
  return absent;
}

release::Manifest read_manifest(const SiteStore& store, const std::string& version) {
  return release::parse_manifest(store.release_manifest(version),
                                 (store.release_dir(version) / "manifest.json").string());
}

// The signed statement of a release at the site, verified again. Expiry does not matter for what
// was imported in time.
trust::VerifiedRelease verify_release(const SiteStore& store, const trust::TrustState& state,
                                      const std::string& version) {
  const Path folder = store.release_dir(version);
  std::vector<trust::SignatureFile> signatures;
  for (const std::string& name : store.fs().list(folder)) {
    if (!name.ends_with(".minisig")) continue;
    signatures.push_back({(folder / name).string(),
                          read_text_file(store.fs(), folder / name, format::kMaxDocumentBytes)});
  }
  const Path path = folder / "statement.json";
  return state.require_root().verify_release(read_text_file(store.fs(), path, format::kMaxDocumentBytes),
                                             signatures, std::nullopt, path.string());
}

// Why the release is revoked; empty when it is not. When its signatures no longer hold, activating
// it says so.
std::string revocation(const SiteStore& store, const trust::TrustState& state,
                       const ReleaseInfo& info) {
  const auto list = state.revocations(info.product);
  if (!list) return {};
  const Bytes statement = read_file(store.fs(), store.release_dir(info.version) / "statement.json",
                                    format::kMaxDocumentBytes);
  if (const auto reason = trust::revocation_reason(*list, sha256(statement), info.version)) {
    return reason->empty() ? "no reason given" : *reason;
  }
  try {
    state.check_revoked(verify_release(store, state, info.version));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::revoked) return error.message();
  }
  return {};
}

SiteRelease to_site_release(const SiteStore& store, const trust::TrustState& state,
                            const ReleaseInfo& info) {
  return {info.product,    info.version,
          info.release_number, info.created,
          info.expires,    info.blob_count,
          info.blob_bytes, info.active,
          absent_blobs(store, info.version).empty(), revocation(store, state, info)};
}

// What the signed statement says about the release's other files.
void verify_documents(const SiteStore& store, const trust::VerifiedRelease& release) {
  const Path folder = store.release_dir(release->version);
  const auto check = [&](const char* name, const Digest& digest) {
    const Bytes content = read_file(store.fs(), folder / name, format::kMaxBlobListBytes);
    if (sha256(content) == digest) return;
    throw Error(ErrorCode::store_corrupt,
                fmt::format("{} does not match its signed digest", (folder / name).string()),
                "Import the release again: it repairs the store.");
  };
  check("manifest.json", release->manifest_digest);
  check("blobs.list", release->blob_list_digest);
}

std::string choose_rollback(const SiteStore& store) {
  const auto active = store.active_version();
  if (!active) {
    throw Error(ErrorCode::gate_refused, "no release is active, so there is nothing to roll back from",
                "Activate a release: bundle-import activate VERSION.");
  }
  const std::uint64_t number = store.release(*active).release_number;
  std::string chosen;
  for (const ReleaseInfo& info : store.releases()) {
    if (info.release_number < number) chosen = info.version;
  }
  if (chosen.empty()) {
    throw Error(ErrorCode::release_unknown,
                fmt::format("no release older than {} is in the store", *active),
                "Import the older release first.");
  }
  return chosen;
}

GateAnswer gate(const SiteStore& store, const std::string& version, bool rollback) {
  const release::Manifest candidate = read_manifest(store, version);
  const auto active = store.active_version();
  std::optional<release::Manifest> current;
  if (active) current = read_manifest(store, *active);
  const auto decision =
      release::may_activate(current ? &*current : nullptr, candidate,
                            rollback ? release::GateDirection::rollback : release::GateDirection::upgrade);
  return {decision.allowed, decision.reason, decision.next_step};
}

void require_complete(const SiteStore& store, const std::string& version) {
  const auto absent = absent_blobs(store, version);
  if (absent.empty()) return;
  throw Error(ErrorCode::release_incomplete,
              fmt::format("release {} lacks {} blobs, the first is {}", version, absent.size(),
                          absent.front().digest.text()),
              "Import the release again: only what is missing is written.");
}

std::vector<std::string> find_leftovers(const SiteStore& store) {
  std::vector<std::string> leftovers;
  for (const std::string& name : store.fs().list(store.staging_dir())) {
    leftovers.push_back("staging/" + name);
  }
  for (const std::string& name : store.fs().list(store.root() / "blobs" / "sha256")) {
    if (!Digest::is_valid("sha256:" + name)) leftovers.push_back("blobs/sha256/" + name);
  }
  return leftovers;
}

std::vector<std::string> releases_to_remove(const SiteStore& store, const CollectOptions& options) {
  if (!options.remove.empty()) return options.remove;
  std::vector<ReleaseInfo> releases = store.releases();
  std::vector<std::string> remove;
  for (std::size_t i = 0; i + options.keep < releases.size(); ++i) {
    if (!releases[i].active) remove.push_back(releases[i].version);
  }
  return remove;
}

}  // namespace

std::vector<SiteRelease> list_releases(const std::filesystem::path& root) {
  const auto store = open_store(root);
  const trust::TrustState state(store->fs(), store->trust_dir());
  std::vector<SiteRelease> releases;
  for (const ReleaseInfo& info : store->releases()) {
    releases.push_back(to_site_release(*store, state, info));
  }
  return releases;
}

SiteStatus site_status(const std::filesystem::path& root) {
  const auto store = open_store(root);
  SiteStatus status;
  status.active = store->active_version().value_or("");
  status.releases = list_releases(root);
  const trust::TrustState state(store->fs(), store->trust_dir());
  if (state.current()) {
    status.trust_fingerprint = state.current()->fingerprint();
    status.trust_version = state.current()->version();
  }
  for (const std::string& name : store->fs().list(root / "blobs" / "sha256")) {
    ++status.blobs;
    status.bytes += store->fs().status(root / "blobs" / "sha256" / name).value_or(FileStatus{}).size;
  }
  status.disk_free = store->fs().free_bytes(root);
  for (const std::string& name : store->fs().list(store->staging_dir())) {
    if (store->fs().status(store->staging_dir() / name / "blobs.list")) status.unfinished.push_back(name);
  }
  return status;
}

StoreAudit audit_store(const std::filesystem::path& root, unsigned jobs, Progress& progress,
                       const Cancel& cancel) {
  const auto store = open_store(root);
  const trust::TrustState state(store->fs(), store->trust_dir());
  StoreAudit audit;
  std::map<Digest, std::pair<BlobEntry, std::string>> blobs;  // with the first release that needs it
  for (const ReleaseInfo& info : store->releases()) {
    try {
      verify_documents(*store, verify_release(*store, state, info.version));
    } catch (const Error& error) {
      audit.problems.push_back({info.version, "", error.message()});
    }
    for (const BlobEntry& blob : store->release_blobs(info.version)) {
      if (blobs.try_emplace(blob.digest, blob, info.version).second) audit.bytes += blob.size;
    }
  }
  audit.blobs = blobs.size();
  progress.phase("auditing", audit.bytes);

  std::mutex mutex;
  auto next = blobs.begin();
  std::uint64_t done = 0;
  run_workers(jobs == 0 ? default_workers() : jobs, [&](const std::atomic<bool>& stop) {
    for (;;) {
      std::unique_lock lock(mutex);
      if (stop || next == blobs.end()) return;
      const auto& [blob, version] = (next++)->second;
      lock.unlock();
      std::string problem = store->blob_problem(blob, cancel);
      lock.lock();
      progress.advance(done += blob.size);
      if (!problem.empty()) {
        audit.problems.push_back({version, blob.digest.text(), std::move(problem)});
      }
    }
  });
  std::ranges::sort(audit.problems, {}, &StoreProblem::digest);
  audit.leftovers = find_leftovers(*store);
  return audit;
}

Activation activate_release(const std::filesystem::path& root, const std::string& wanted,
                            bool rollback) {
  const auto store = open_store(root);
  StoreWriter writer(store);
  const std::string version = wanted.empty() ? choose_rollback(*store) : wanted;
  const trust::TrustState state(store->fs(), store->trust_dir());
  store->release(version);
  const trust::VerifiedRelease verified = verify_release(*store, state, version);
  verify_documents(*store, verified);
  state.check_revoked(verified);
  require_complete(*store, version);
  if (const GateAnswer answer = gate(*store, version, rollback); !answer.allowed) {
    throw Error(ErrorCode::gate_refused, answer.reason, answer.next_step);
  }
  Activation activation{store->active_version().value_or(""), version};
  // The same one again completes an activation that was cut short.
  writer.activate(version);
  if (activation.from == activation.to) return activation;
  codec::Json event;
  event.set("from", activation.from);
  event.set("to", activation.to);
  writer.audit(rollback ? "rollback" : "activate", std::move(event));
  return activation;
}

GateAnswer check_gate(const std::filesystem::path& root, const std::string& version, bool rollback) {
  const auto store = open_store(root);
  return gate(*store, version.empty() ? choose_rollback(*store) : version, rollback);
}

CollectReport collect_garbage(const std::filesystem::path& root, const CollectOptions& options) {
  const auto store = open_store(root);
  StoreWriter writer(store);
  const auto result = writer.collect(releases_to_remove(*store, options), options.drop_unfinished,
                                     options.dry_run);
  if (!options.dry_run && (!result.releases.empty() || result.blobs > 0)) {
    codec::Json event;
    codec::Json removed = codec::Json::array();
    for (const std::string& version : result.releases) removed.push_back(version);
    event.set("releases", std::move(removed));
    event.set("bytes", result.bytes);
    writer.audit("gc", std::move(event));
  }
  return {result.releases, result.blobs, result.bytes};
}

}  // namespace bundle
