#include "bundle/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <optional>

#include "base/thread_pool.h"
#include "base/time.h"
#include "bundle/error.h"
#include "site/newer_tools.h"
#include "site/site_gate.h"
#include "site/site_news.h"
#include "source/open_bundle.h"
#include "source/origin_release.h"
#include "source/release_packages.h"
#include "source/report.h"
#include "source/site_release.h"
#include "transfer/bundle_import.h"
#include "transfer/leaf_fetch.h"

namespace bundle {
namespace {

using source::OpenedBundle;

// Rough rates for the estimate that people see; the true ones depend on the site's machine.
constexpr std::uint64_t kReadRate = 30 << 20;     // a USB stick
constexpr std::uint64_t kRebuildRate = 60 << 20;  // with gzip encoders, two cores

// Decoded groups that are kept while a delta is imported.
constexpr std::uint64_t kDeltaBudget = 64 << 20;
constexpr std::uint64_t kDeltaLargeBudget = 96 << 20;
// Missing base blobs that a message names.
constexpr std::size_t kMissingNamed = 8;

std::shared_ptr<store::SiteStore> open_if_there(FileSystem& fs, const Path& root) {
  const auto status = fs.status(root);
  if (!status || (status->kind == FileKind::directory && fs.list(root).empty())) return nullptr;
  // A store whose making was cut short is made whole by SiteStore::create.
  if (!fs.status(root / "oci-layout") && fs.status(root / "blobs")) return nullptr;
  return store::SiteStore::open(fs, root);
}

std::uint64_t free_space(FileSystem& fs, Path path) {
  path = std::filesystem::absolute(path);
  while (!fs.status(path) && path.has_parent_path() && path != path.parent_path()) {
    path = path.parent_path();
  }
  return fs.free_bytes(path);
}

// One import from opened bundle to published release. Members are in order of use.
class Import {
 public:
  // `writes`: this is no plan.
  Import(const ImportOptions& options, bool writes, const Cancel& cancel)
      : options_(options), fs_(posix_file_system()) {
    store_ = open_if_there(fs_, options.store);
    if (store_) state_.emplace(fs_, store_->trust_dir());
    const source::TrustChoice trust{state_ ? &*state_ : nullptr, options.trust,
                                    options.trust_fingerprint, on_newer(writes, cancel)};
    if (const std::string place = source::find_origin(fs_, options.sources); !place.empty()) {
      auto found =
          source::open_release(fs_, source::open_origin(fs_, place, options.access, &cancel),
                               {options.channel, options.version}, store_.get(), trust);
      origin_ = std::move(found.origin);
      opened_.emplace(source::open_bundle(fs_, std::move(found.volumes), trust));
    } else {
      opened_.emplace(source::open_bundle(fs_, options.sources, trust));
    }
    media_.emplace(opened_->volumes, index());
  }

  // May be called again after the store has changed.
  ImportPlanReport plan(const Cancel& cancel) {
    check_site();
    groups_.reset();
    staged_.emplace(store_.get(), opened_->volumes.bundle_id, index());
    if (is_remote()) {
      auto fetched = std::make_unique<transfer::FetchedLeaves>(index(), *media_, *staged_);
      fetched_ = fetched.get();
      leaves_ = std::move(fetched);
    } else {
      leaves_ = std::make_unique<transfer::JoinedLeaves>(*media_, *staged_);
    }
    open_groups();
    plan_ = plan::make_plan(opened_->head, store_.get(), *groups_, {*media_, *staged_}, cancel);
    check_base();
    return report();
  }

  // What the release changes at this site, for people. After plan().
  void compare(ImportPlanReport& report, const Cancel& cancel) {
    const auto live = store_ ? store_->active_version() : std::nullopt;
    if (!live) return;
    const release::Manifest now = source::read_manifest(*store_, *live);
    const release::Manifest& next = opened_->manifest;
    if (now.product != next.product) return;
    report.compared_with = *live;
    std::optional<release::PackageVersions> old_packages;
    std::optional<release::PackageVersions> new_packages;
    if (is_remote() || is_plain()) {
      report.notes.emplace_back("packages are compared once the release is on a medium");
    } else {
      old_packages = source::read_packages(now, source::blobs_of(*store_), report.notes);
      new_packages = source::read_packages(
          next, source::blobs_of(opened_->head.blobs, index(), *groups_, cancel), report.notes);
    }
    report.changes = release::changes_between({now, old_packages}, {next, new_packages});
  }

  ImportReport run(Progress& progress, const Cancel& cancel) {
    const auto start = std::chrono::steady_clock::now();
    ImportReport result;
    if (store_) {
      lock();
      // Before anything can be refused: a revocation holds whatever becomes of this import.
      if (state_->current()) learn();
      check_site();
      if (already_imported_) drop_damaged_blobs(progress, cancel);
    }
    result.plan = plan(cancel);
    check_space(result.plan);
    if (!store_) {
      store_ = store::SiteStore::create(fs_, options_.store);
      lock();
      // In place: the leaves know it already, and only now it has a folder.
      staged_.emplace(store_.get(), opened_->volumes.bundle_id, index());
    }
    verify_base(progress, cancel);
    if (!result.plan.already_imported || result.plan.blobs_new > 0 || needs_publishing()) {
      take_in(result, progress, cancel);
    }
    result.complete = true;
    result.seconds = source::seconds_since(start);
    return result;
  }

 private:
  // A newer release brings the tools that can read it.
  std::function<std::string(const unpack::VolumeSet&, const unpack::VerifiedHead&)> on_newer(
      bool writes, const Cancel& cancel) {
    return [this, writes, &cancel](const unpack::VolumeSet& volumes,
                                   const unpack::VerifiedHead& head) -> std::string {
      if (!writes)
        return "The release is good; an import puts the newer tools that it brings into the store.";
      return site::stage_newer_tools(fs_, volumes, head, state_ ? &*state_ : nullptr,
                                     options_.store, cancel);
    };
  }

  const format::Index& index() const { return opened_->head.index; }
  const trust::Statement& statement() const { return *opened_->head.release; }
  bool is_remote() const { return origin_ != nullptr && origin_->is_remote(); }
  bool is_plain() const { return opened_->volumes.is_plain(); }

  // Of plain blobs from far away each worker is a connection.
  std::size_t worker_count() const {
    if (is_plain() && is_remote()) return options_.access.connections;
    return options_.jobs == 0 ? default_workers() : options_.jobs;
  }

  // A delta's references take memory that else is the cache's.
  void open_groups() {
    const bool delta = !opened_->head.bases().empty() && store_ != nullptr;
    if (delta) {
      base_.emplace(index().base_blobs, [store = store_](const format::BlobEntry& blob) {
        return store->open_blob(blob.digest);
      });
    }
    groups_ = std::make_unique<unpack::GroupReader>(
        index(), *leaves_, delta ? kDeltaBudget : unpack::GroupReader::kDefaultBudget,
        delta ? &*base_ : nullptr, delta ? kDeltaLargeBudget : unpack::GroupReader::kLargeBudget);
  }

  // Before any write: is what the delta builds on here?
  void check_base() const {
    if (plan_.base_missing.empty()) return;
    std::uint64_t bytes = 0;
    std::string names;
    for (const format::BlobEntry& blob : plan_.base_missing) bytes += blob.size;
    const std::size_t named = std::min(plan_.base_missing.size(), kMissingNamed);
    for (std::size_t i = 0; i < named; ++i) {
      names += fmt::format("{}{}", i == 0 ? "" : ", ", plan_.base_missing[i].digest.text());
    }
    if (named < plan_.base_missing.size()) {
      names += fmt::format(" and {} more", plan_.base_missing.size() - named);
    }
    std::string bases;
    for (const trust::CarrierBase& base : opened_->head.bases()) {
      bases += fmt::format("{}{}", bases.empty() ? "" : " or ", base.name);
    }
    throw Error(
        ErrorCode::base_missing,
        fmt::format(
            "this delta to {} builds on {}, of which this site lacks {} blobs, {} bytes: {}",
            statement().version, bases, plan_.base_missing.size(), bytes, names),
        fmt::format("Import {} first, or the full bundle of {}. A repair needs those {} bytes "
                    "(any bundle or store that has the blobs). Nothing was written.",
                    bases, statement().version, bytes));
  }

  // A blob that came to harm since its import must be named before anything is made from it.
  void verify_base(Progress& progress, const Cancel& cancel) const {
    std::uint64_t total = 0;
    for (const format::BlobEntry& blob : plan_.base_blobs) total += blob.size;
    if (total == 0) return;
    progress.phase("checking the base", total);
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::uint64_t done = 0;
    run_workers(worker_count(), [&](const std::atomic<bool>& stop) {
      for (std::size_t i = next++; i < plan_.base_blobs.size() && !stop; i = next++) {
        const format::BlobEntry& blob = plan_.base_blobs[i];
        if (const std::string problem = store_->blob_problem(blob, cancel); !problem.empty()) {
          throw Error(
              ErrorCode::store_corrupt,
              fmt::format("blob {} of the base at this site is damaged: {}", blob.digest.text(),
                          problem),
              fmt::format("Import its release again from a full bundle with --repair, which brings "
                          "these {} "
                          "bytes anew, or import the full bundle of {}. Nothing was written.",
                          blob.size, statement().version));
        }
        const std::lock_guard guard(mutex);
        progress.advance(done += blob.size);
      }
    });
  }

  // What was read before the lock may have changed meanwhile: it is read again.
  void lock() {
    writer_.emplace(store_);
    state_.emplace(fs_, store_->trust_dir());
    // A second --trust may only confirm what is pinned.
    if (state_->current() && !options_.trust.empty()) {
      const std::string text = read_text_file(fs_, options_.trust, format::kMaxDocumentBytes);
      state_->pin(trust::TrustRoot::load(text, options_.trust.string()));
    }
    const std::string& fingerprint = options_.trust_fingerprint;
    if (state_->current() && !fingerprint.empty() && !trusts(fingerprint)) {
      throw Error(
          ErrorCode::wrong_key,
          fmt::format("this site trusts {}, not {}", state_->current()->fingerprint(), fingerprint),
          "Leave --trust-fingerprint out: the site knows whom it trusts. A new vendor key "
          "comes with the vendor's chain of roots.");
    }
  }

  // Follows the roots and keeps the news, which stand on signatures of their own.
  void learn() {
    state_->update_root(unpack::carried_roots(opened_->volumes));
    site::learn_news(*store_, *state_, opened_->news, now(), false);
  }

  UnixTime now() const {
    const UnixTime clock = current_time();
    return state_ ? state_->effective_now(clock) : clock;
  }

  // The current root or one that led to it.
  bool trusts(const std::string& fingerprint) const {
    return state_->current()->matches(fingerprint) ||
           trust::find_root(state_->chain(), fingerprint).has_value();
  }

  // When the release became visible: the oldest of its documents tells, as one may have been
  // repaired since.
  std::int64_t published_ns() const {
    std::int64_t oldest = std::numeric_limits<std::int64_t>::max();
    for (const format::NamedFile& file : release_files()) {
      const auto status = fs_.status(store_->release_dir(statement().version) / file.name);
      if (status) oldest = std::min(oldest, status->ctime_ns);
    }
    return oldest;
  }

  // Every blob was right when the release became visible, and a file that nobody touched since is
  // taken for right without being read.
  std::vector<format::BlobEntry> blobs_to_check() const {
    std::vector<format::BlobEntry> blobs = opened_->head.blobs;
    if (options_.repair) return blobs;
    const std::int64_t published = published_ns();
    std::erase_if(blobs, [&](const format::BlobEntry& blob) {
      const auto file = fs_.status(store_->blob_path(blob.digest));
      return file && file->size == blob.size && file->ctime_ns <= published;
    });
    return blobs;
  }

  // Who imports a release again wants it whole: blobs that were damaged since go, and come anew.
  // A delta has only some of them to give.
  void drop_damaged_blobs(Progress& progress, const Cancel& cancel) {
    const auto blobs = blobs_to_check();
    std::uint64_t total = 0;
    for (const format::BlobEntry& blob : blobs) total += blob.size;
    if (total == 0) return;
    progress.phase("checking what is here", total);
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::uint64_t done = 0;
    run_workers(worker_count(), [&](const std::atomic<bool>& stop) {
      for (std::size_t i = next++; i < blobs.size() && !stop; i = next++) {
        const std::string problem = store_->blob_problem(blobs[i], cancel);
        if (!problem.empty() && !is_carried(blobs[i].digest)) {
          throw Error(
              ErrorCode::store_corrupt,
              fmt::format("blob {} at this site is damaged, and this delta does not carry it: {}",
                          blobs[i].digest.text(), problem),
              fmt::format("A full bundle of {} repairs it, imported with --repair.",
                          statement().version));
        }
        if (!problem.empty()) writer_->drop_blob(blobs[i].digest);
        const std::lock_guard guard(mutex);
        progress.advance(done += blobs[i].size);
      }
    });
  }

  bool is_carried(const Digest& blob) const {
    return is_plain() || std::ranges::find(index().blobs, blob, &format::IndexedBlob::digest) !=
                             index().blobs.end();
  }

  // True when an import was cut short after the release had become visible, or when one of its
  // documents was changed since.
  bool needs_publishing() const {
    if (fs_.status(store_->staging_dir() / to_hex(opened_->volumes.bundle_id))) return true;
    const Path folder = store_->release_dir(statement().version);
    return std::ranges::any_of(release_files(), [&](const format::NamedFile& file) {
      return !fs_.status(folder / file.name) ||
             read_text_file(fs_, folder / file.name, format::kMaxBlobListBytes) != file.content;
    });
  }

  format::FileList release_files() const {
    format::FileList files = {{"blobs.list", opened_->head.blob_list},
                              {"manifest.json", opened_->head.manifest},
                              {"statement.json", opened_->head.release.raw()}};
    for (const trust::SignatureFile& file : opened_->head.release_signatures) {
      files.push_back({file.name, file.content});
    }
    return files;
  }

  bool already_imported() const {
    if (!store_ || !fs_.status(store_->release_dir(statement().version) / "statement.json")) {
      return false;
    }
    const std::string stored =
        read_text_file(fs_, store_->release_dir(statement().version) / "statement.json",
                       format::kMaxDocumentBytes);
    if (stored != opened_->head.release.raw()) {
      throw Error(ErrorCode::statement_mismatch,
                  fmt::format("this site has another release {} with the same version",
                              statement().version),
                  "A version is never published twice: ask the vendor which of the two is right. "
                  "'bundle-import gc --remove VERSION' removes the one at this site if it is not "
                  "active.");
    }
    return true;
  }

  // Older releases are refused, but for these two, which take the site nowhere back.
  bool may_be_older() const {
    if (already_imported_) return true;
    if (!store_ || !state_ || !state_->current()) return false;
    return site::is_stepping_stone(
        *store_, *state_, release::parse_manifest(opened_->head.manifest, "manifest.json"));
  }

  void check_site() {
    already_imported_ = already_imported();
    const trust::TrustState* const state = state_ && state_->current() ? &*state_ : nullptr;
    site::check_news(state, opened_->news);
    check_revoked(state);
    may_be_older_ = may_be_older();
    if (state != nullptr) state->check_release(opened_->head.release, may_be_older_);
    if (!options_.channel.empty() && options_.version.empty()) {
      site::require_channel(state, opened_->news, options_.channel, opened_->head.release, now());
    }
  }

  void check_revoked(const trust::TrustState* state) const {
    const auto list = revocations(state);
    if (!list) return;
    trust::check_revoked(opened_->root, *list, opened_->head.release);
    if (!opened_->head.carrier) return;
    trust::check_signers(opened_->root, *list, trust::role::kCarrier,
                         opened_->head.carrier->signers(), "the bundle's carrier.json");
  }

  std::optional<trust::RevocationList> revocations(const trust::TrustState* state) const {
    if (state != nullptr) return state->revocations(statement().product, opened_->news);
    for (const auto& [list, signatures] : opened_->news.revocations) {
      if (list->product == statement().product) return *list;
    }
    return std::nullopt;
  }

  ImportPlanReport report() const {
    ImportPlanReport report = source::describe(*opened_);
    report.already_imported = already_imported_;
    report.blobs_present = plan_.blobs_present;
    report.bytes_present = plan_.bytes_present;
    report.blobs_new = plan_.ready.size() + plan_.waiting.size();
    report.bytes_new = plan_.bytes_ready + plan_.bytes_waiting;
    report.blobs_waiting = plan_.waiting.size();
    report.bytes_staged = plan_.bytes_to_stage;
    report.disk_needed = plan_.disk_needed();
    if (is_remote()) report.disk_needed += bytes_to_fetch();
    report.disk_free = free_space(fs_, options_.store);
    report.bytes_to_read =
        is_remote() ? bytes_to_fetch() : plan_.packed_bytes + plan_.bytes_to_stage;
    if (is_plain()) report.bytes_to_read = plan_.bytes_ready - plan_.bytes_partial;
    report.seconds_estimate =
        std::max(report.bytes_to_read / kReadRate, plan_.bytes_ready / kRebuildRate);
    if (!plan_.complete()) {
      report.volumes_missing = source::missing_volumes(opened_->volumes, staged_->volumes_seen());
    }
    return report;
  }

  // From an origin: what is not kept at the site from an earlier, interrupted import. Recipes were
  // read for the plan.
  std::vector<std::uint32_t> leaves_to_fetch() const {
    std::vector<std::uint32_t> leaves;
    for (const std::uint32_t number : plan_.groups) {
      const format::Group& group = index().groups[number];
      if (group.stream == format::kRecipeStream) continue;
      for (std::uint32_t i = 0; i < group.leaf_count(); ++i) {
        if (!staged_->has(group.first_leaf + i)) leaves.push_back(group.first_leaf + i);
      }
    }
    return leaves;
  }

  std::uint64_t bytes_to_fetch() const {
    std::uint64_t bytes = 0;
    for (const std::uint32_t leaf : leaves_to_fetch()) bytes += index().leaf_place(leaf).size;
    return bytes;
  }

  void start_fetching(const Cancel& cancel) {
    if (fetched_ == nullptr) return;
    fetched_->start({leaves_to_fetch(), opened_->volumes.bundle_id, options_.access.connections},
                    *writer_, cancel);
  }

  void check_space(const ImportPlanReport& report) const {
    if (report.disk_needed <= report.disk_free) return;
    throw Error(ErrorCode::no_space,
                fmt::format("the import needs {} bytes, but only {} are free on the disk of {}",
                            report.disk_needed, report.disk_free, options_.store.string()),
                fmt::format("Free {} bytes: 'bundle-import gc' removes old releases. Nothing was "
                            "written.",
                            report.disk_needed - report.disk_free));
  }

  void take_in(ImportReport& result, Progress& progress, const Cancel& cancel) {
    // Now and not at the end, so that the next stick needs no --trust.
    if (!state_->current()) {
      state_->pin(opened_->chosen);
      learn();
    }
    writer_->note_unfinished(opened_->volumes.bundle_id, opened_->head.blob_list);
    start_fetching(cancel);
    try {
      result.bytes_written =
          transfer::rebuild_blobs(plan_, {*groups_, opened_->volumes.blobs.get()}, *writer_,
                                  worker_count(), progress, cancel);
      result.blobs_written = plan_.ready.size();
      stage(progress, cancel);
    } catch (...) {
      // Nobody may wait for what will not come any more.
      if (fetched_ != nullptr) fetched_->stop();
      keep_finished_blobs();
      throw;
    }
    result.bytes_read = groups_->packed_bytes_read() + plan_.bytes_to_stage;
    if (is_plain()) result.bytes_read = result.plan.bytes_to_read;
    if (is_remote()) result.bytes_read = origin_->bytes_received();
    if (!plan_.complete()) wait_for_volumes(result.plan);
    publish();
  }

  // What is finished stays, also when the stick was pulled.
  void keep_finished_blobs() {
    try {
      writer_->flush_blobs();
    } catch (const Error&) {
      // The first failure is the one to report.
    }
  }

  void stage(Progress& progress, const Cancel& cancel) {
    if (plan_.to_stage.empty()) return;
    progress.phase("keeping parts for later", plan_.bytes_to_stage);
    std::uint64_t done = 0;
    for (const std::uint32_t leaf : plan_.to_stage) {
      cancel.check();
      const Bytes bytes = unpack::read_verified_leaf(index(), *media_, leaf);
      writer_->stage_leaf(opened_->volumes.bundle_id, leaf, bytes);
      progress.advance(done += bytes.size());
    }
  }

  [[noreturn]] void wait_for_volumes(const ImportPlanReport& report) {
    for (const unpack::Volume& volume : opened_->volumes.volumes) {
      writer_->note_volume(opened_->volumes.bundle_id, volume.header.number);
    }
    std::string numbers;
    for (const std::uint32_t number : report.volumes_missing) {
      numbers += fmt::format("{}{}", numbers.empty() ? "" : ", ", number);
    }
    throw Error(
        ErrorCode::volume_missing,
        fmt::format("{} of {} blobs of release {} wait for volume {} of {}", plan_.waiting.size(),
                    plan_.blobs_total, statement().version, numbers, opened_->volumes.count),
        "All that is on this medium was taken in. Insert the medium with a missing volume and "
        "run the same import for it; any order will do.");
  }

  void publish() {
    for (const format::BlobEntry& blob : opened_->head.blobs) {
      if (store_->has_blob(blob)) continue;
      throw Error(
          ErrorCode::release_incomplete,
          fmt::format("blob {} is missing in the store after the import", blob.digest.text()),
          "Run the same import again.");
    }
    writer_->publish_release(statement().version, release_files());
    state_->accept_release(opened_->head.release, may_be_older_);
    codec::Json event;
    event.set("version", statement().version);
    event.set("product", statement().product);
    if (is_plain()) {
      event.set("from", origin_->text());
    } else {
      event.set("bundle", to_hex(opened_->volumes.bundle_id));
    }
    event.set("statement", opened_->head.release.digest().text());
    writer_->audit("import", std::move(event));
    // Last: as long as it is there, the next import of this bundle does these steps again.
    writer_->drop_staged(opened_->volumes.bundle_id);
  }

  const ImportOptions& options_;
  FileSystem& fs_;
  std::shared_ptr<store::SiteStore> store_;
  std::optional<trust::TrustState> state_;
  std::shared_ptr<transfer::Origin> origin_;  // outlives the volumes; null: media
  std::optional<OpenedBundle> opened_;
  bool already_imported_ = false;
  bool may_be_older_ = false;  // than the newest release that the site has accepted
  std::optional<unpack::VolumeLeaves> media_;
  std::optional<store::StoreWriter> writer_;
  std::optional<transfer::StagedLeaves> staged_;
  std::unique_ptr<unpack::LeafSource> leaves_;
  transfer::FetchedLeaves* fetched_ = nullptr;  // leaves_, when the origin is remote
  std::optional<unpack::BaseReader> base_;
  std::unique_ptr<unpack::GroupReader> groups_;
  plan::ImportPlan plan_;
};

}  // namespace

ImportPlanReport plan_import(const ImportOptions& options, const Cancel& cancel) {
  Import import(options, false, cancel);
  ImportPlanReport report = import.plan(cancel);
  import.compare(report, cancel);
  return report;
}

ImportReport import_release(const ImportOptions& options, Progress& progress,
                            const Cancel& cancel) {
  return Import(options, true, cancel).run(progress, cancel);
}

}  // namespace bundle
