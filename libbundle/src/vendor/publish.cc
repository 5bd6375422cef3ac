#include "bundle/publish.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "base/time.h"
#include "bundle/error.h"
#include "codec/json.h"
#include "format/limits.h"
#include "pack/volume_writer.h"
#include "source/open_bundle.h"
#include "source/origin_release.h"
#include "source/trust_report.h"
#include "trust/news.h"
#include "trust/news_files.h"
#include "trust/origin_index.h"
#include "vendor/publication_rules.h"
#include "vendor/vendor_files.h"

namespace bundle {
namespace {

using release::StoredRelease;
using source::OpenedBundle;
using trust::ChannelPointer;
using trust::OriginBundle;
using trust::OriginIndex;
using trust::OriginRelease;
using trust::SignatureFile;

// Not served by a web server that hides dot files, and harmless otherwise.
constexpr std::string_view kWorkFolder = ".publish";
constexpr std::string_view kLockName = ".publish.lock";
constexpr std::string_view kHistoryName = "history.log";
constexpr std::int64_t kNanoseconds = 1'000'000'000;

// One publication. Members are in order of use.
class Publication {
 public:
  Publication(const PublishOptions& options, Progress& progress, const Cancel& cancel)
      : options_(options), fs_(posix_file_system()), progress_(progress), cancel_(cancel) {}

  PublishReport run() {
    if (options_.trust_folder.empty()) {
      throw Error(ErrorCode::usage, "nothing says what sites are to follow",
                  "Give --trust-dir FOLDER, in which 'bundle-make promote' keeps the pointers.");
    }
    open_bundles();
    std::unique_ptr<FileLock> lock;
    if (!options_.dry_run) {
      fs_.create_directories(options_.origin);
      lock = fs_.lock(options_.origin / kLockName);
      fs_.remove_all(options_.origin / kWorkFolder);
    }
    read_origin();
    for (const OpenedBundle& bundle : bundles_) list_release(bundle);
    read_channels();
    choose_removed();
    check_rules();
    if (options_.dry_run) return foretell();
    for (const OpenedBundle& bundle : bundles_) add_volumes(bundle);
    copy_trust();
    // What is listed is there; what a pointer names is listed; what goes is named by neither.
    write_index(index_);
    write_channels();
    remove_old();
    record();
    return std::move(report_);
  }

 private:
  void open_bundles() {
    files_ = trust::read_trust_files(fs_, options_.trust_folder);
    carried_ = vendor::files_to_carry(fs_, options_.trust_folder);
    const trust::TrustRoot root =
        vendor::vendor_root(fs_, options_.trust_folder, files_, options_.trust);
    root_.emplace(root);
    for (const auto& folder : options_.bundles) {
      unpack::VolumeSet volumes = unpack::open_volumes(fs_, {folder});
      unpack::VerifiedHead head = unpack::verify_head(volumes, root, build_time());
      release::Manifest manifest = release::parse_manifest(head.manifest, "manifest.json");
      if (const auto missing = source::missing_volumes(volumes, {}); !missing.empty()) {
        throw Error(ErrorCode::volume_missing,
                    fmt::format("volume {} of {} is not in {}", missing.front(), volumes.count,
                                folder.string()),
                    "Name the folder that holds all volumes of the bundle.");
      }
      bundles_.push_back(
          {std::move(volumes), root, root, std::move(head), std::move(manifest), trust::News{}});
    }
  }

  void read_origin() {
    const Path listing = options_.origin / trust::kOriginIndexName;
    if (fs_.status(listing)) {
      index_ = trust::parse_origin_index(read_text_file(fs_, listing, trust::kMaxOriginBytes),
                                         listing.string());
    }
    before_ = index_;
  }

  void take_product(const std::string& product) {
    if (index_.product.empty()) index_.product = product;
    if (index_.product == product) return;
    throw Error(ErrorCode::usage,
                fmt::format("{} is the origin of {}, not of {}", options_.origin.string(),
                            index_.product, product),
                "An origin belongs to one product: name another folder.");
  }

  // Into the listing in memory. Volumes come later, when nothing can be refused any more.
  void list_release(const OpenedBundle& bundle) {
    const trust::Statement& statement = *bundle.head.release;
    take_product(statement.product);
    auto found = std::ranges::find(index_.releases, statement.version, &OriginRelease::version);
    if (found == index_.releases.end()) {
      index_.releases.push_back(
          {statement.version, statement.release_number, bundle.head.release.digest(), {}, {}});
      found = index_.releases.end() - 1;
    }
    if (found->statement != bundle.head.release.digest()) {
      throw Error(ErrorCode::statement_mismatch,
                  fmt::format("{} was published with other content", statement.version),
                  "A version is never published twice: give the release a new version.");
    }
    const std::string id = to_hex(bundle.volumes.bundle_id);
    const trust::Carrier& carrier = **bundle.head.carrier;
    if (std::ranges::find(found->bundles, id, &OriginBundle::id) == found->bundles.end()) {
      found->bundles.push_back({id, carrier.bases, carrier.pack_size, {}});
    }
    std::ranges::stable_sort(index_.releases, {}, &OriginRelease::number);
  }

  void read_channels() {
    std::vector<SignatureFile> news;
    for (const format::NamedFile& file : carried_) news.push_back({file.name, file.content});
    news_ = trust::read_news(*root_, news, build_time());
    index_.channels.clear();
    for (const auto& item : news_.pointers) {
      const ChannelPointer& pointer = *item.document;
      take_product(pointer.product);
      require_listed(pointer);
      check_not_older(pointer);
      index_.channels.push_back(pointer.channel);
    }
    std::ranges::sort(index_.channels);
    if (!index_.product.empty()) return;
    throw Error(ErrorCode::usage, "there is nothing to publish",
                "Name bundles, or a trust folder with pointers.");
  }

  void require_listed(const ChannelPointer& pointer) const {
    const auto found =
        std::ranges::find(index_.releases, pointer.statement_digest, &OriginRelease::statement);
    if (found == index_.releases.end()) {
      throw Error(ErrorCode::release_unknown,
                  fmt::format("channel {} stands at {}, which is not on this origin",
                              pointer.channel, pointer.release_version),
                  fmt::format("Name the bundle of {} as well.", pointer.release_version));
    }
    if (found->version == pointer.release_version) return;
    throw Error(ErrorCode::statement_mismatch,
                fmt::format("channel {} calls {} by the name {}", pointer.channel, found->version,
                            pointer.release_version),
                "Somebody wrote the pointer by hand: promote the release again.");
  }

  bool is_pointed_at(const OriginRelease& release) const {
    return std::ranges::any_of(news_.pointers, [&](const auto& item) {
      return item.document->statement_digest == release.statement;
    });
  }

  void choose_removed() {
    if (options_.keep == 0 || index_.releases.size() <= options_.keep) return;
    const auto old = index_.releases.size() - options_.keep;
    std::vector<OriginRelease> kept;
    for (std::size_t i = 0; i < index_.releases.size(); ++i) {
      if (i >= old || is_pointed_at(index_.releases[i])) {
        kept.push_back(index_.releases[i]);
      } else {
        removed_.push_back(index_.releases[i]);
      }
    }
    index_.releases = std::move(kept);
  }

  std::string read_manifest(const OriginRelease& release) const {
    for (const OpenedBundle& bundle : bundles_) {
      if (bundle.head.release->version == release.version) return bundle.head.manifest;
    }
    const Path folder =
        options_.origin / trust::origin_bundle_path(release.version, release.bundles.front().id);
    return read_text_file(fs_, folder / "manifest.json", format::kMaxDocumentBytes);
  }

  std::vector<StoredRelease> stored_releases() const {
    std::vector<StoredRelease> stored;
    for (const OriginRelease& release : index_.releases) {
      StoredRelease entry{release::parse_manifest(read_manifest(release), "manifest.json"), {}, 0};
      for (const auto& item : news_.revocations) {
        if (item.document->product != index_.product) continue;
        entry.revoked =
            trust::revocation_reason(*item.document, release.statement, release.version);
      }
      stored.push_back(std::move(entry));
    }
    return stored;
  }

  bool changes_something() const {
    return !(index_ == before_) || !removed_.empty() ||
           std::ranges::any_of(news_.pointers, [&](const auto& item) {
             return channel_content(item.document->channel) != published(item.document->channel);
           });
  }

  void check_rules() {
    if (!changes_something()) return;
    const std::vector<StoredRelease> stored = stored_releases();
    std::vector<vendor::ChannelMove> channels;
    for (const auto& item : news_.pointers) {
      const auto before = published_pointer(item.document->channel);
      const bool moved = !before || before->statement_digest != item.document->statement_digest;
      channels.push_back({*item.document, moved});
    }
    if (options_.strand.empty()) vendor::require_ways(stored, channels);
    std::vector<std::string> added;
    for (const OriginRelease& release : index_.releases) {
      if (std::ranges::find(before_.releases, release.version, &OriginRelease::version) ==
          before_.releases.end()) {
        added.push_back(release.version);
      }
    }
    stale_reasons_ = vendor::require_fresh_bases(stored, added, channels, build_time());
  }

  // Cut anew, so that the origin's files have the sizes that it likes, and each leaf is read.
  void add_volumes(const OpenedBundle& bundle) {
    const trust::Statement& statement = *bundle.head.release;
    const std::string id = to_hex(bundle.volumes.bundle_id);
    const Path place = options_.origin / trust::origin_bundle_path(statement.version, id);
    const bool is_new = !fs_.status(place);
    if (is_new) write_volumes(bundle, place);
    PublishedBundle published{statement.version, id, 0, is_new};
    for (OriginRelease& release : index_.releases) {
      const auto entry = std::ranges::find(release.bundles, id, &OriginBundle::id);
      if (release.version != statement.version || entry == release.bundles.end()) continue;
      entry->volumes.clear();
      for (const std::string& name : fs_.list(place)) {
        if (!format::is_volume_name(name)) continue;
        entry->volumes.push_back({name, fs_.status(place / name)->size});
        published.bytes += entry->volumes.back().size;
      }
    }
    report_.bundles.push_back(std::move(published));
  }

  void write_volumes(const OpenedBundle& bundle, const Path& place) {
    const Path work = options_.origin / kWorkFolder / place.filename();
    pack::VolumeJob job;
    job.bundle_id = bundle.volumes.bundle_id;
    job.name = fmt::format("{}-{}", bundle.head.release->product, bundle.head.release->version);
    job.head = bundle.volumes.head;
    job.tail = bundle.volumes.tail;
    job.volume_size = options_.volume_size == 0 ? UINT64_MAX : options_.volume_size;
    const unpack::VolumeLeaves leaves(bundle.volumes, bundle.head.index);
    pack::write_volumes(fs_, work, job, bundle.head.index, leaves, nullptr, progress_, cancel_);
    format::FileList signatures = bundle.volumes.tail;
    std::erase_if(signatures, [](const format::NamedFile& file) {
      return !file.name.starts_with("statement.") && !file.name.starts_with("carrier.");
    });
    pack::write_loose_files(fs_, work, bundle.volumes.head, signatures);
    fs_.create_directories(place.parent_path());
    fs_.rename(work, place);
    fs_.sync_directory(place.parent_path());
  }

  // All that the vendor's folder has: the history of each channel, the roots for new sites.
  void copy_trust() {
    const Path folder = options_.origin / "trust";
    fs_.create_directories(folder);
    for (const bool signatures : {true, false}) {
      for (const SignatureFile& file : files_) {
        const std::string name = source::base_name(file.name);
        if (name.ends_with(".minisig") == signatures) write_if_other(folder / name, file.content);
      }
    }
  }

  // A file that does not change keeps its date, and with it what caches know about it.
  bool write_if_other(const Path& path, const std::string& content) {
    const auto status = fs_.status(path);
    if (status && status->size == content.size() &&
        read_text_file(fs_, path, content.size()) == content) {
      return false;
    }
    // Web servers tell states of a file apart by its size and the second of its date.
    while (status && status->mtime_ns / kNanoseconds == current_time()) {
      cancel_.check();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    write_file_atomically(fs_, path, as_bytes(content));
    return true;
  }

  void write_index(const OriginIndex& index) {
    write_if_other(options_.origin / trust::kOriginIndexName, trust::encode_origin_index(index));
  }

  // Of the channels only this one's pointer; roots and revocations are for all.
  std::string channel_content(const std::string& channel) const {
    format::FileList files;
    const std::string own = fmt::format(".{}{}", channel, trust::kChannelSuffix);
    for (const format::NamedFile& file : carried_) {
      const auto is_of = [&](const format::NamedFile& document) {
        return document.name.ends_with(trust::kChannelSuffix) && !document.name.ends_with(own) &&
               (file.name == document.name || trust::is_signature_of(file.name, document.name));
      };
      if (std::ranges::none_of(carried_, is_of)) files.push_back(file);
    }
    return std::string(as_text(format::encode_tail(std::move(files))));
  }

  std::string published(const std::string& channel) const {
    const Path path = options_.origin / trust::origin_channel_path(channel);
    return fs_.status(path) ? read_text_file(fs_, path, format::kMaxTailBytes) : std::string();
  }

  // As the vendor's folder once had it; sites check its signature.
  std::optional<ChannelPointer> published_pointer(const std::string& channel) const {
    const std::string content = published(channel);
    if (content.empty()) return std::nullopt;
    const std::string what = trust::origin_channel_path(channel);
    for (const SignatureFile& file : source::parse_channel(content, what)) {
      if (!file.name.ends_with(trust::kChannelSuffix)) continue;
      return trust::parse_pointer(file.content, fmt::format("{}: {}", what, file.name));
    }
    return std::nullopt;
  }

  void check_not_older(const ChannelPointer& pointer) const {
    const auto before = published_pointer(pointer.channel);
    if (!before || before->sequence <= pointer.sequence) return;
    throw Error(ErrorCode::rollback,
                fmt::format("channel {} was published with sequence {}, the trust folder has {}",
                            pointer.channel, before->sequence, pointer.sequence),
                "Get the newest state of the vendor's trust folder.");
  }

  // What a run would report, from what is there now.
  PublishReport foretell() {
    report_.product = index_.product;
    report_.dry_run = true;
    for (const OpenedBundle& bundle : bundles_) {
      const std::string id = to_hex(bundle.volumes.bundle_id);
      const std::string& version = bundle.head.release->version;
      PublishedBundle entry{version, id, 0, false};
      entry.is_new = !fs_.status(options_.origin / trust::origin_bundle_path(version, id));
      for (const unpack::Volume& volume : bundle.volumes.volumes)
        entry.bytes += volume.file->size();
      report_.bundles.push_back(std::move(entry));
    }
    for (const auto& item : news_.pointers) {
      const ChannelPointer& pointer = *item.document;
      const bool moved = channel_content(pointer.channel) != published(pointer.channel);
      report_.channels.push_back(
          {pointer.channel, pointer.release_version, pointer.sequence, moved});
    }
    for (const OriginRelease& release : removed_) report_.removed.push_back(release.version);
    return std::move(report_);
  }

  void write_channels() {
    fs_.create_directories(options_.origin / "channels");
    for (const auto& item : news_.pointers) {
      const ChannelPointer& pointer = *item.document;
      const bool moved =
          write_if_other(options_.origin / trust::origin_channel_path(pointer.channel),
                         channel_content(pointer.channel));
      report_.channels.push_back(
          {pointer.channel, pointer.release_version, pointer.sequence, moved});
    }
  }

  void remove_old() {
    const Path folder = options_.origin / "releases";
    for (const OriginRelease& release : removed_) {
      fs_.remove_all(folder / release.version);
      report_.removed.push_back(release.version);
    }
    // What an earlier run took out of the listing and did not get to remove.
    if (!fs_.status(folder)) return;
    for (const std::string& name : fs_.list(folder)) {
      if (std::ranges::find(index_.releases, name, &OriginRelease::version) ==
          index_.releases.end()) {
        fs_.remove_all(folder / name);
      }
    }
    fs_.remove_all(options_.origin / kWorkFolder);
  }

  void record() {
    report_.product = index_.product;
    codec::Json event;
    event.set("time", format_time(build_time()));
    bool something = !report_.removed.empty();
    const auto add = [&](const char* key, const std::string& text) {
      if (event.find(key) == nullptr) event.set(key, codec::Json::array());
      event.as_object().find(key)->second.push_back(text);
      something = true;
    };
    for (const PublishedBundle& bundle : report_.bundles) {
      if (bundle.is_new) add("bundles", fmt::format("{} {}", bundle.version, bundle.bundle_id));
    }
    for (const PublishedChannel& channel : report_.channels) {
      if (!channel.moved) continue;
      add("channels",
          fmt::format("{} {} (sequence {})", channel.name, channel.version, channel.sequence));
    }
    for (const std::string& version : report_.removed) add("removed", version);
    if (!something) return;
    if (!options_.strand.empty()) event.set("strand", options_.strand);
    for (const std::string& reason : stale_reasons_) add("stale_base", reason);
    const auto file = fs_.open_writable(options_.origin / kHistoryName);
    file->write(as_bytes(codec::dump_json(event) + "\n"));
    file->sync();
  }

  const PublishOptions& options_;
  FileSystem& fs_;
  Progress& progress_;
  const Cancel& cancel_;
  std::vector<SignatureFile> files_;  // all of the trust folder
  format::FileList carried_;          // what is newest in it
  std::optional<trust::TrustRoot> root_;
  std::vector<OpenedBundle> bundles_;
  OriginIndex before_;
  OriginIndex index_;
  std::vector<OriginRelease> removed_;
  trust::News news_;
  std::vector<std::string> stale_reasons_;
  PublishReport report_;
};

}  // namespace

PublishReport publish(const PublishOptions& options, Progress& progress, const Cancel& cancel) {
  return Publication(options, progress, cancel).run();
}

}  // namespace bundle
