#include "source/origin_release.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/time.h"
#include "bundle/error.h"
#include "format/limits.h"
#include "source/site_release.h"
#include "source/store_origin.h"
#include "trust/limits.h"
#include "trust/news.h"

namespace bundle::source {
namespace {

using transfer::Origin;
using trust::OriginBundle;
using trust::OriginIndex;
using trust::OriginRelease;

std::string read_channel(const Origin& origin, const std::string& channel) {
  transfer::OriginQuery query;
  query.max_bytes = format::kMaxTailBytes;
  auto document = origin.read(trust::origin_channel_path(channel), query);
  if (document) return std::move(document->content);
  throw Error(ErrorCode::not_found, fmt::format("{} has no channel {}", origin.text(), channel),
              "Check the address and the name; the vendor tells which channels there are.");
}

// The release that the channel stands at, by a pointer whose signature is good. Whether it is
// fresh and not older than the site's is asked at the import.
Digest follow_pointer(FileSystem& fs, const std::vector<trust::SignatureFile>& news,
                      const std::string& channel, const TrustChoice& trust) {
  const UnixTime clock = current_time();
  const UnixTime now = trust.state != nullptr ? trust.state->effective_now(clock) : clock;
  std::vector<trust::SignatureFile> roots;
  std::ranges::copy_if(news, std::back_inserter(roots), [](const trust::SignatureFile& file) {
    return file.name.ends_with(".root.json");
  });
  try {
    trust::TrustRoot root = choose_root(fs, news, trust);
    if (!roots.empty()) root = root.update_all(roots);
    for (const auto& item : trust::read_news(root, news, now).pointers) {
      if (item.document->channel == channel) return item.document->statement_digest;
    }
  } catch (const Error& error) {
    if (trust.state == nullptr) throw;
    throw trust.state->explain(error, clock);
  }
  throw Error(ErrorCode::not_found,
              fmt::format("the news of channel {} hold no pointer of it", channel),
              "The origin was published wrong: tell the vendor.");
}

const OriginRelease* find_release(const OriginIndex& index, const OriginWish& wish,
                                  const std::optional<Digest>& statement) {
  const auto found = std::ranges::find_if(index.releases, [&](const OriginRelease& release) {
    return statement ? release.statement == *statement : release.version == wish.version;
  });
  return found == index.releases.end() ? nullptr : &*found;
}

Error not_listed(const Origin& origin, const std::string& channel) {
  return {ErrorCode::release_unknown,
          fmt::format("channel {} of {} stands at a release that is not there yet", channel,
                      origin.text()),
          "Try again later; if it lasts, tell the vendor."};
}

bool holds(const store::SiteStore& store, const trust::CarrierBase& base) {
  return std::ranges::any_of(store.releases(), [&](const store::ReleaseInfo& release) {
    const Path list = store.release_dir(release.version) / "blobs.list";
    if (!store.fs().status(list)) return false;
    return sha256(read_file(store.fs(), list, format::kMaxBlobListBytes)) == base.digest &&
           absent_blobs(store, release.version).empty();
  });
}

const OriginBundle& cheapest(const OriginRelease& release, const store::SiteStore* store) {
  const OriginBundle* best = nullptr;
  std::string bases;
  // A release that is here already is asked for to be repaired: only a full bundle can.
  const bool here = store != nullptr && store->fs().status(store->release_dir(release.version));
  for (const OriginBundle& bundle : release.bundles) {
    const bool usable =
        bundle.bases.empty() ||
        (store != nullptr && !here &&
         std::ranges::any_of(bundle.bases, [&](const auto& base) { return holds(*store, base); }));
    for (const trust::CarrierBase& base : bundle.bases) {
      bases += fmt::format("{}{}", bases.empty() ? "" : " or ", base.name);
    }
    if (usable && (best == nullptr || bundle.pack_size < best->pack_size)) best = &bundle;
  }
  if (best != nullptr) return *best;
  throw Error(ErrorCode::base_missing,
              fmt::format("the origin has {} only for sites that have {}", release.version,
                          bases.empty() ? "nothing of" : bases),
              "Get that release first, or ask the vendor to publish a full bundle. Nothing was "
              "written.");
}

// A store that was copied onto a stick for one release needs no further words.
bool is_only_plain_release(const OriginIndex& index) {
  return index.releases.size() == 1 && !index.releases.front().documents.empty();
}

// The documents of a release in plain blobs; nothing of them is believed here.
unpack::VolumeSet read_plain_release(const std::shared_ptr<Origin>& origin,
                                     const OriginRelease& release, format::FileList news) {
  format::FileList documents;
  format::FileList signed_files = std::move(news);
  for (const std::string& name : release.documents) {
    const bool is_signature = name.ends_with(".minisig");
    transfer::OriginQuery query;
    query.max_bytes = is_signature           ? trust::kMaxSignatureFileBytes
                      : name == "blobs.list" ? format::kMaxBlobListBytes
                                             : format::kMaxDocumentBytes;
    auto document = origin->read(trust::origin_document_path(release.version, name), query);
    if (!document) {
      throw Error(ErrorCode::not_found,
                  fmt::format("{} has no {} of {}", origin->text(), name, release.version),
                  "It is being changed, or is not whole: try again later.");
    }
    (is_signature ? signed_files : documents).push_back({name, std::move(document->content)});
  }
  return unpack::plain_volumes(std::move(documents), std::move(signed_files), origin_blobs(origin));
}

}  // namespace

std::string find_origin(FileSystem& fs, const std::vector<std::filesystem::path>& sources) {
  for (const auto& source : sources) {
    const std::string place = source.string();
    if (!transfer::is_web_address(place) && !is_store(fs, source) &&
        !fs.status(source / trust::kOriginIndexName)) {
      continue;
    }
    if (sources.size() == 1) return place;
    throw Error(ErrorCode::usage,
                fmt::format("{} is an origin or a store, which stands alone", place),
                "Name one of these, or volumes and folders with volumes.");
  }
  return {};
}

std::shared_ptr<Origin> open_origin(FileSystem& fs, const std::string& place,
                                    const OriginAccess& access, const Cancel* cancel) {
  transfer::OriginOptions options;
  options.credentials = access.credentials;
  options.tls = access.ca;
  options.s3_region = access.s3_region;
  options.bytes_per_second = access.bytes_per_second;
  options.http.cancel = cancel;
  if (!transfer::is_web_address(place) && is_store(fs, place)) return open_store_origin(fs, place);
  return transfer::open_origin(fs, place, options);
}

std::vector<trust::SignatureFile> parse_channel(const std::string& content,
                                                const std::string& what) {
  std::vector<trust::SignatureFile> files;
  for (auto& file : format::decode_tail(as_bytes(content), what)) {
    files.push_back({std::move(file.name), std::move(file.content)});
  }
  return files;
}

OriginIndex read_origin_index(const Origin& origin, bool past_caches) {
  transfer::OriginQuery query;
  query.max_bytes = trust::kMaxOriginBytes;
  query.past_caches = past_caches;
  const std::string name(trust::kOriginIndexName);
  const auto document = origin.read(name, query);
  if (document) {
    return trust::parse_origin_index(document->content, fmt::format("{}/{}", origin.text(), name));
  }
  throw Error(ErrorCode::not_a_bundle, fmt::format("{} has no {}", origin.text(), name),
              "Check the address: it is the folder that bundle-make publish writes.");
}

OriginRelease channel_release(FileSystem& fs, const Origin& origin, const OriginIndex& index,
                              const std::string& channel, const Path& store,
                              const Path& trust_file) {
  const trust::TrustState state(fs, store / "trust");
  const auto news = parse_channel(read_channel(origin, channel),
                                  fmt::format("channel {} of {}", channel, origin.text()));
  const Digest statement = follow_pointer(fs, news, channel, {&state, trust_file, {}});
  const OriginRelease* release = find_release(index, {}, statement);
  if (release != nullptr) return *release;
  throw not_listed(origin, channel);
}

OriginVolumes open_release(FileSystem& fs, std::shared_ptr<Origin> origin, const OriginWish& wish,
                           const store::SiteStore* store, const TrustChoice& trust) {
  if (wish.channel.empty() && wish.version.empty()) {
    const OriginIndex index = read_origin_index(*origin);
    if (is_only_plain_release(index)) {
      return open_release(fs, std::move(origin), {{}, index.releases.front().version}, store,
                          trust);
    }
    throw Error(ErrorCode::usage, fmt::format("which release of {}?", origin->text()),
                fmt::format("Give --channel NAME (there are: {}) or --release VERSION.",
                            fmt::join(index.channels, ", ")));
  }
  format::FileList news;
  std::optional<Digest> statement;
  if (!wish.channel.empty()) {
    const std::string content = read_channel(*origin, wish.channel);
    const auto files = parse_channel(
        content, fmt::format("{}/{}", origin->text(), trust::origin_channel_path(wish.channel)));
    if (wish.version.empty()) statement = follow_pointer(fs, files, wish.channel, trust);
    for (const trust::SignatureFile& file : files) news.push_back({file.name, file.content});
  }
  OriginIndex index = read_origin_index(*origin);
  const OriginRelease* release = find_release(index, wish, statement);
  if (release == nullptr && statement) {
    // A cache on the way may be behind.
    index = read_origin_index(*origin, true);
    release = find_release(index, wish, statement);
  }
  if (release == nullptr && statement) throw not_listed(*origin, wish.channel);
  if (release == nullptr) {
    throw Error(ErrorCode::release_unknown,
                fmt::format("{} has no release {}", origin->text(), wish.version),
                "Name another release.");
  }
  if (release->bundles.empty() && !release->documents.empty()) {
    if (news.empty() && !index.channels.empty()) {
      // As a bundle carries them: roots and revocations come with any channel.
      news = format::decode_tail(as_bytes(read_channel(*origin, index.channels.front())),
                                 origin->text());
    }
    return {origin, read_plain_release(origin, *release, std::move(news))};
  }
  const OriginBundle& bundle = cheapest(*release, store);
  std::vector<std::unique_ptr<ReadableFile>> files;
  for (const trust::OriginVolume& volume : bundle.volumes) {
    const std::string folder = trust::origin_bundle_path(release->version, bundle.id);
    files.push_back(origin->open(fmt::format("{}/{}", folder, volume.name), volume.size));
  }
  return {std::move(origin), unpack::open_volumes(std::move(files), news)};
}

}  // namespace bundle::source
