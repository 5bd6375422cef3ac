#include <fmt/format.h>

#include <algorithm>

#include "base/time.h"
#include "bundle/error.h"
#include "bundle/trust.h"
#include "site/site_news.h"
#include "source/trust_report.h"
#include "store/store_writer.h"
#include "trust/limits.h"
#include "trust/news_files.h"
#include "unpack/bundle_reader.h"

namespace bundle {
namespace {

using store::SiteStore;
using trust::SignatureFile;
using trust::TrustState;

constexpr std::string_view kTimeFile = "time.json";

std::vector<SiteChannel> site_channels(const SiteStore& store, const TrustState& state,
                                       UnixTime now) {
  std::vector<SiteChannel> channels;
  for (const auto& [key, mark] : state.channels()) {
    SiteChannel entry;
    entry.product = key.substr(0, key.find('/'));
    entry.channel = key.substr(key.find('/') + 1);
    entry.sequence = mark.number;
    entry.version = mark.version;
    entry.created = format_time(mark.created);
    const auto releases = store.releases();
    entry.in_store = std::ranges::any_of(releases, [&](const store::ReleaseInfo& release) {
      return release.version == mark.version && release.product == entry.product;
    });
    trust::ChannelPointer name;
    name.channel = entry.channel;
    name.sequence = mark.number;
    const Path path = site::channel_folder(store, entry.product) / trust::pointer_name(name);
    if (store.fs().status(path)) {
      const auto pointer = trust::parse_pointer(
          read_text_file(store.fs(), path, trust::kMaxPointerBytes), path.string());
      entry.expires = format_time(pointer.expires);
      entry.fresh = now < pointer.expires;
    }
    channels.push_back(std::move(entry));
  }
  return channels;
}

std::vector<SiteRevocations> site_revocations(const TrustState& state) {
  std::vector<SiteRevocations> lists;
  for (const auto& [product, mark] : state.revocation_lists()) {
    const auto list = state.revocations(product);
    SiteRevocations entry{product, list->sequence, format_time(list->created), {}, list->keys};
    for (const trust::RevokedRelease& release : list->releases) {
      entry.releases[release.version] = release.reason;
    }
    lists.push_back(std::move(entry));
  }
  return lists;
}

SiteTrust describe_trust(const SiteStore& store, const TrustState& state) {
  const trust::TrustRoot& root = state.require_root();
  const UnixTime clock = current_time();
  const UnixTime now = state.effective_now(clock);
  SiteTrust report;
  report.root = source::describe_root(root.metadata(), root.fingerprint());
  report.site_id = state.site_id();
  report.clock = format_time(clock);
  report.effective_time = format_time(now);
  if (state.time_floor() > 0) report.latest_signed = format_time(state.time_floor());
  if (const auto& correction = state.time_override(); correction && correction->covers(clock)) {
    report.clock_corrected = true;
    report.correction_until = format_time(correction->clock_until);
  }
  report.clock_behind = !report.clock_corrected && clock < state.time_floor();
  for (const auto& [product, mark] : state.releases()) {
    report.highest[product] = {mark.version, mark.number};
  }
  report.channels = site_channels(store, state, now);
  report.revocations = site_revocations(state);
  return report;
}

std::vector<SignatureFile> read_source(FileSystem& fs, const Path& source) {
  if (unpack::looks_like_bundle(fs, source)) {
    return unpack::carried_files(unpack::open_volumes(fs, {source}));
  }
  const auto status = fs.status(source);
  if (!status || status->kind != FileKind::directory) {
    throw Error(ErrorCode::not_found, fmt::format("{} is no folder and no bundle", source.string()),
                "Name the folder that holds the vendor's files, or a bundle.");
  }
  return trust::read_trust_files(fs, source);
}

std::vector<SignatureFile> roots_among(const std::vector<SignatureFile>& files) {
  std::vector<SignatureFile> roots;
  std::ranges::copy_if(files, std::back_inserter(roots),
                       [](const SignatureFile& file) { return file.name.ends_with(".root.json"); });
  return roots;
}

std::optional<trust::VerifiedTime> find_time(FileSystem& fs, const TrustState& state,
                                             const Path& source,
                                             const std::vector<SignatureFile>& files) {
  const Path path = source / kTimeFile;
  if (!fs.status(path)) return std::nullopt;
  std::vector<SignatureFile> signatures;
  std::ranges::copy_if(files, std::back_inserter(signatures), [](const SignatureFile& file) {
    return trust::is_signature_of(source::base_name(file.name), kTimeFile);
  });
  return state.require_root().verify_time(read_text_file(fs, path, trust::kMaxTimeBytes),
                                          signatures, path.string());
}

void update_from(const SiteStore& store, TrustState& state, const Path& source,
                 std::vector<std::string>& learned) {
  FileSystem& fs = store.fs();
  const UnixTime clock = current_time();
  const auto files = read_source(fs, source);
  const std::uint64_t before = state.require_root().version();
  state.update_root(roots_among(files));
  if (state.require_root().version() > before) {
    learned.push_back(fmt::format("trust root {}", state.require_root().version()));
  }
  // First of all: when the clock is wrong, nothing else can be judged.
  if (const auto time = find_time(fs, state, source, files)) {
    state.accept_time(*time, clock);
    learned.push_back(fmt::format("the time: {} while the clock shows {} to {}",
                                  format_time((*time)->created), format_time((*time)->clock_from),
                                  format_time((*time)->clock_until)));
  }
  try {
    const UnixTime now = state.effective_now(clock);
    const auto news = trust::read_news(state.require_root(), files, now);
    const auto lines = site::learn_news(store, state, news, now, true);
    learned.insert(learned.end(), lines.begin(), lines.end());
  } catch (const Error& error) {
    throw state.explain(error, clock);
  }
}

void audit_update(store::StoreWriter& writer, const TrustUpdate& update) {
  if (update.learned.empty()) return;
  codec::Json learned = codec::Json::array();
  for (const std::string& line : update.learned) learned.push_back(line);
  codec::Json event;
  event.set("root", update.root_after);
  event.set("learned", std::move(learned));
  writer.audit("trust", std::move(event));
}

}  // namespace

SiteTrust site_trust(const std::filesystem::path& root) {
  const auto store = SiteStore::open(posix_file_system(), root);
  return describe_trust(*store, TrustState(store->fs(), store->trust_dir()));
}

SiteTrust pin_site_trust(const std::filesystem::path& root, const std::filesystem::path& file,
                         const std::string& fingerprint) {
  FileSystem& fs = posix_file_system();
  const auto chosen =
      trust::TrustRoot::load(read_text_file(fs, file, trust::kMaxRootBytes), file.string());
  if (!fingerprint.empty() && !chosen.matches(fingerprint)) {
    throw Error(ErrorCode::wrong_key,
                fmt::format("{} has the fingerprint {}", file.string(), chosen.fingerprint()),
                "Compare it with what the vendor told you; if yours is right, the file is not from "
                "them.");
  }
  const auto store = SiteStore::create(fs, root);
  store::StoreWriter writer(store);
  TrustState state(fs, store->trust_dir());
  const bool first = !state.current();
  state.pin(chosen);
  if (first) {
    codec::Json event;
    event.set("fingerprint", chosen.fingerprint());
    writer.audit("pin", std::move(event));
  }
  return describe_trust(*store, state);
}

TrustUpdate update_site_trust(const std::filesystem::path& root,
                              const std::vector<std::filesystem::path>& sources) {
  const auto store = SiteStore::open(posix_file_system(), root);
  store::StoreWriter writer(store);
  TrustState state(store->fs(), store->trust_dir());
  TrustUpdate update;
  update.root_before = state.require_root().version();
  try {
    for (const Path& source : sources) update_from(*store, state, source, update.learned);
  } catch (const Error&) {
    update.root_after = state.require_root().version();
    audit_update(writer, update);
    throw;
  }
  update.root_after = state.require_root().version();
  audit_update(writer, update);
  return update;
}

}  // namespace bundle
