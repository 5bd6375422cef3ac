#include "bundle/site.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "base/thread_pool.h"
#include "bundle/error.h"
#include "site/site_backup.h"
#include "site/upgrade_journal.h"
#include "source/site_release.h"
#include "store/blob_file.h"
#include "store/pushed_store.h"
#include "store/store_writer.h"
#include "trust/trust_state.h"

namespace bundle {
namespace {

using source::absent_blobs;
using source::open_store;
using store::BlobEntry;
using store::ReleaseInfo;
using store::SiteStore;
using store::StoreWriter;

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
    state.check_revoked(source::verify_release(store, state, info.version));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::revoked) return error.message();
  }
  return {};
}

SiteRelease to_site_release(const SiteStore& store, const trust::TrustState& state,
                            const ReleaseInfo& info) {
  return {info.product,
          info.version,
          info.release_number,
          info.created,
          info.expires,
          info.blob_count,
          info.blob_bytes,
          info.active,
          absent_blobs(store, info.version).empty(),
          revocation(store, state, info)};
}

SiteUpgradeState last_upgrade(const SiteStore& store) {
  const auto journal = site::read_journal(store);
  if (!journal) return {};
  SiteUpgradeState state{journal->direction, journal->from,   journal->to, journal->state, "",
                         journal->reason,    journal->updated};
  for (const site::JournalStep& step : journal->steps) {
    if (step.state != "planned") state.step = step.name;
  }
  return state;
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

// An unfinished upgrade needs the release that it leads to, and the one that it would go back to.
std::vector<std::string> removable(const SiteStore& store, const CollectOptions& options) {
  std::vector<std::string> remove = releases_to_remove(store, options);
  const auto journal = site::read_journal(store);
  if (!journal || !journal->is_unfinished()) return remove;
  const auto kept = std::erase_if(remove, [&](const std::string& version) {
    return version == journal->from || version == journal->to;
  });
  if (kept > 0 && !options.remove.empty()) site::require_no_unfinished_upgrade(store);
  return remove;
}

// What the registry has taken lies beside the releases: the same digest there is another file.
void audit_pushed(const SiteStore& site, StoreAudit& audit, const Cancel& cancel) {
  const store::PushedContent pushed = store::read_pushed(site.fs(), site.root());
  for (const std::string& problem : pushed.problems) audit.problems.push_back({"", "", problem});
  std::map<Digest, std::pair<BlobEntry, std::string>> blobs;
  for (const store::PushedRepository& repository : pushed.repositories) {
    for (const auto& [digest, blob] : repository.blobs) {
      blobs.try_emplace(digest, BlobEntry{digest, blob.size}, repository.name);
    }
  }
  for (const auto& [digest, entry] : blobs) {
    const auto& [blob, repository] = entry;
    ++audit.blobs;
    audit.bytes += blob.size;
    std::string problem = store::blob_file_problem(
        site.fs(), store::pushed_blob_path(site.root(), digest), blob, cancel);
    if (!problem.empty()) {
      audit.problems.push_back({"pushed " + repository, digest.text(), std::move(problem)});
    }
  }
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

std::string site_inventory(const std::filesystem::path& root) {
  const auto store = open_store(root);
  std::map<Digest, BlobEntry> blobs;
  for (const ReleaseInfo& info : store->releases()) {
    if (!absent_blobs(*store, info.version).empty()) continue;
    for (const BlobEntry& blob : store->release_blobs(info.version))
      blobs.emplace(blob.digest, blob);
  }
  std::vector<BlobEntry> list;
  list.reserve(blobs.size());
  for (const auto& [digest, blob] : blobs) list.push_back(blob);
  return format::encode_blob_list(std::move(list));
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
    status.bytes +=
        store->fs().status(root / "blobs" / "sha256" / name).value_or(FileStatus{}).size;
  }
  status.disk_free = store->fs().free_bytes(root);
  for (const std::string& name : store->fs().list(store->staging_dir())) {
    if (store->fs().status(store->staging_dir() / name / "blobs.list"))
      status.unfinished.push_back(name);
  }
  for (const site::SiteBackup& backup : site::list_backups(*store)) {
    status.backups.push_back(backup.name);
  }
  status.upgrade = last_upgrade(*store);
  return status;
}

StoreAudit audit_store(const std::filesystem::path& root, unsigned jobs, Progress& progress,
                       const Cancel& cancel) {
  const auto store = open_store(root);
  const trust::TrustState state(store->fs(), store->trust_dir());
  StoreAudit audit;
  std::map<Digest, std::pair<BlobEntry, std::string>>
      blobs;  // with the first release that needs it
  for (const ReleaseInfo& info : store->releases()) {
    try {
      source::verify_documents(*store, source::verify_release(*store, state, info.version));
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
  audit_pushed(*store, audit, cancel);
  std::ranges::sort(audit.problems, {}, &StoreProblem::digest);
  audit.leftovers = find_leftovers(*store);
  return audit;
}

CollectReport collect_garbage(const std::filesystem::path& root, const CollectOptions& options) {
  const auto store = open_store(root);
  StoreWriter writer(store);
  const auto result =
      writer.collect(removable(*store, options), options.drop_unfinished, options.dry_run);
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
