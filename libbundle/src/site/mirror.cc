#include "bundle/mirror.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "bundle/error.h"
#include "bundle/import.h"
#include "bundle/push.h"
#include "bundle/site.h"
#include "bundle/trust.h"
#include "format/limits.h"
#include "release/mirror_config.h"
#include "release/preflight_hooks.h"
#include "site/mirror_state.h"
#include "source/origin_release.h"
#include "source/report.h"
#include "source/store_origin.h"

namespace bundle {
namespace {

using release::Mirror;
using release::MirrorConfig;
using release::MirrorOrigin;
using release::MirrorRegistry;
using release::MirrorStore;
using site::ChannelMemory;

struct LoadedConfig {
  MirrorConfig config;
  std::string digest;
};

LoadedConfig load_config(FileSystem& fs, const Path& file) {
  const std::string text = read_text_file(fs, file, release::kMaxMirrorConfigBytes);
  return {release::parse_mirror_config(text, file.string()), sha256(as_bytes(text)).hex()};
}

bool is_open(const MirrorConfig& config, UnixTime now) {
  return config.windows.empty() || std::ranges::any_of(config.windows, [&](const auto& window) {
           return window.is_open(now);
         });
}

void tell(MirroredRelease& release, const Error& error) {
  release.state = "failed";
  release.exit_status = exit_status(error.code());
  release.message = error.message();
  release.hint = error.hint();
}

OriginAccess source_access(const MirrorConfig& config, const MirrorOrigin& origin) {
  return {origin.ca, origin.credentials, origin.s3_region, config.bytes_per_second,
          config.connections};
}

PushOptions push_options(const MirrorConfig& config, const MirrorRegistry& registry,
                         const MirrorStore& store, const std::string& version) {
  PushOptions options;
  options.store = store.path;
  options.version = version;
  options.to = registry.address;
  options.names = registry.repository_names ? PushNames::repository : PushNames::full;
  options.access = {registry.auth_file, {}, registry.ca};
  if (registry.insecure) {
    options.access.insecure = {registry.address.substr(0, registry.address.find('/'))};
  }
  options.single_platform = registry.single_platform;
  options.connections = config.connections;
  options.bytes_per_second = config.bytes_per_second;
  return options;
}

// One run over all mirrors of a configuration.
class MirrorRun {
 public:
  MirrorRun(const MirrorOptions& options, LoadedConfig loaded, Progress& progress,
            const Cancel& cancel)
      : options_(options),
        fs_(posix_file_system()),
        config_(std::move(loaded.config)),
        digest_(std::move(loaded.digest)),
        state_(fs_, config_.state),
        progress_(progress),
        cancel_(cancel) {}

  MirrorReport run() {
    const auto start = std::chrono::steady_clock::now();
    report_.started = format_time(current_time());
    report_.dry_run = options_.dry_run;
    const auto lock = state_.lock();
    report_.outside_window = !may_run();
    if (!report_.outside_window) {
      for (const Mirror& mirror : config_.mirrors) {
        for (const std::string& channel : mirror.channels) run_channel(mirror, channel);
      }
    }
    report_.seconds = source::seconds_since(start);
    if (!options_.dry_run) keep_report();
    return std::move(report_);
  }

 private:
  bool may_run() const { return options_.outside_window || is_open(config_, current_time()); }

  void require_window() const {
    if (!may_run()) {
      throw Error(ErrorCode::busy, "the window has closed; the rest follows in the next one",
                  "Nothing has to be done. --outside-window does not wait.");
    }
  }

  bool is_chosen(const std::string& store) const {
    return options_.stores.empty() ||
           std::ranges::find(options_.stores, store) != options_.stores.end();
  }

  void keep_report() {
    state_.write_report(report_);
    if (config_.metrics.empty()) return;
    write_file_atomically(fs_, config_.metrics, as_bytes(site::mirror_metrics(report_)));
  }

  OriginAccess access(const MirrorOrigin& origin) const { return source_access(config_, origin); }

  // Connections live as long as the run.
  const transfer::Origin& open(const MirrorOrigin& origin) {
    auto& opened = origins_[origin.name];
    if (!opened) opened = source::open_origin(fs_, origin.address, access(origin), &cancel_);
    return *opened;
  }

  // One conditional request, whatever the number of stores.
  transfer::OriginDocument ask(const MirrorOrigin& origin, const std::string& channel,
                               const ChannelMemory& memory) {
    ++report_.requests;
    transfer::OriginQuery query;
    query.max_bytes = format::kMaxTailBytes;
    query.known = memory.validator;
    auto document = open(origin).read(trust::origin_channel_path(channel), query);
    if (document) return std::move(*document);
    throw Error(ErrorCode::not_found,
                fmt::format("{} has no channel {}", open(origin).text(), channel),
                "Check the address and the name; the vendor tells which channels there are.");
  }

  bool is_there(const MirrorStore& store, const std::string& version) const {
    return fs_.status(store.path / "releases" / version / "statement.json").has_value();
  }

  void run_channel(const Mirror& mirror, const std::string& channel) {
    const MirrorOrigin& origin = config_.origin(mirror.origin);
    ChannelMemory memory = state_.recall(origin.name, channel);
    if (memory.config != digest_) memory = {};
    MirroredRelease entry{origin.name, channel, {}, {}, {}, 0, 0, {}, 0, {}, {}};
    transfer::OriginDocument news;
    try {
      cancel_.check();
      news = ask(origin, channel, memory);
    } catch (const Error& error) {
      tell(entry, error);
      for (const std::string& store : mirror.stores) {
        entry.store = store;
        if (is_chosen(store)) report_.releases.push_back(entry);
      }
      return;  // for its registries as well: the stores tell why
    }
    if (!news.unchanged) memory = {digest_, news.validator, 0, {}};
    const ChannelMemory before = memory;
    for (const std::string& name : mirror.stores) {
      if (is_chosen(name)) run_store(mirror, channel, config_.store(name), memory);
    }
    for (const std::string& name : mirror.registries) {
      if (is_chosen(name)) run_registry(mirror, channel, config_.registry(name), memory);
    }
    const bool moved = !news.unchanged || memory.stores != before.stores;
    if (!options_.dry_run && moved) state_.remember(origin.name, channel, memory);
  }

  void run_store(const Mirror& mirror, const std::string& channel, const MirrorStore& store,
                 ChannelMemory& memory) {
    MirroredRelease entry{mirror.origin, channel, store.name, {}, "current", 0, 0, {}, 0, {}, {}};
    const auto done = memory.stores.find(store.name);
    if (done != memory.stores.end() && is_there(store, done->second)) {
      entry.version = done->second;
      if (memory.expires <= current_time()) tell_frozen(entry, memory.expires);
      report_.releases.push_back(std::move(entry));
      return;
    }
    try {
      const bool complete = sync_others(mirror, channel, store);
      sync(mirror, store, {}, channel, entry);
      if (options_.dry_run || !complete) {
        report_.releases.push_back(std::move(entry));
        return;
      }
      collect(mirror, store, entry);
      if (store.serve) source::write_store_listing(fs_, store.path);
      memory.stores[store.name] = entry.version;
      memory.expires = pointer_expiry(store, channel);
    } catch (const Error& error) {
      tell(entry, error);
    }
    report_.releases.push_back(std::move(entry));
  }

  // What the first store has goes into the registry, too.
  void run_registry(const Mirror& mirror, const std::string& channel,
                    const MirrorRegistry& registry, ChannelMemory& memory) {
    MirroredRelease entry{
        mirror.origin, channel, registry.name, {}, "current", 0, 0, {}, 0, {}, {}};
    entry.to_registry = true;
    try {
      const MirrorStore& store = config_.store(mirror.stores.front());
      const auto held = memory.stores.find(store.name);
      if (held != memory.stores.end()) {
        entry.version = held->second;
        const auto pushed = memory.stores.find(registry.name);
        const bool known = pushed != memory.stores.end() && pushed->second == entry.version;
        if (!known) push(registry, store, memory, entry);
      } else if (options_.dry_run) {
        entry.state = "pending";  // with what the store does not have yet
      } else {
        throw Error(ErrorCode::release_incomplete,
                    fmt::format("store {} does not have the release of channel {} yet", store.name,
                                channel),
                    "It is pushed as soon as the store has it; the store's own line tells why it "
                    "has not.");
      }
    } catch (const Error& error) {
      tell(entry, error);
    }
    report_.releases.push_back(std::move(entry));
  }

  void push(const MirrorRegistry& registry, const MirrorStore& store, ChannelMemory& memory,
            MirroredRelease& entry) {
    require_window();
    PushOptions options = push_options(config_, registry, store, entry.version);
    options.dry_run = options_.dry_run;
    const PushReport report = push_release(options, progress_, cancel_);
    entry.bytes_sent = report.bytes_sent;
    for (const PushedArtifact& artifact : report.artifacts) {
      if (artifact.exit_status != 0) {
        entry.state = "failed";
        entry.exit_status = artifact.exit_status;
        entry.message = artifact.message;
        entry.hint = artifact.hint;
        return;
      }
      if (artifact.state == "pushed") entry.state = "synced";
      if (artifact.state == "pending") entry.state = "pending";
    }
    if (!options_.dry_run) memory.stores[registry.name] = entry.version;
  }

  // Nothing new is good only as long as the pointer is: somebody may hold the news back.
  void tell_frozen(MirroredRelease& entry, UnixTime expires) const {
    tell(entry, Error(ErrorCode::expired,
                      fmt::format("channel {} of {} has not changed, and its pointer expired on {}",
                                  entry.channel, entry.origin, format_time(expires)),
                      "The vendor has to renew the pointer, or somebody on the way shows old "
                      "files. Check the clock of this machine, too."));
  }

  UnixTime pointer_expiry(const MirrorStore& store, const std::string& channel) const {
    for (const SiteChannel& pointer : site_trust(store.path).channels) {
      if (pointer.channel == channel) return parse_time(pointer.expires).value_or(0);
    }
    return 0;
  }

  ImportOptions import_options(const Mirror& mirror, const MirrorStore& store,
                               const std::string& version, const std::string& channel) const {
    const MirrorOrigin& origin = config_.origin(mirror.origin);
    ImportOptions options;
    options.sources = {origin.address};
    options.store = store.path;
    // Once pinned, the store's own root counts, also after the file has been replaced.
    if (!fs_.status(store.path / "trust" / "state.json") && !store.trust.empty()) {
      options.trust = store.trust;
    }
    options.channel = channel;
    options.version = version;
    options.access = access(origin);
    return options;
  }

  void sync(const Mirror& mirror, const MirrorStore& store, const std::string& version,
            const std::string& channel, MirroredRelease& entry) {
    require_window();
    const ImportOptions options = import_options(mirror, store, version, channel);
    if (options_.dry_run) {
      const ImportPlanReport plan = plan_import(options, cancel_);
      entry.version = plan.version;
      entry.bytes_fetched = plan.bytes_to_read;
      entry.bytes_new = plan.bytes_new;
      if (!plan.already_imported || plan.blobs_new > 0) entry.state = "pending";
      return;
    }
    const ImportReport report = import_release(options, progress_, cancel_);
    entry.version = report.plan.version;
    entry.bytes_fetched = report.bytes_read;
    entry.bytes_new = report.plan.bytes_new;
    if (report.plan.already_imported && report.plan.blobs_new == 0) return;
    entry.state = "synced";
    run_hooks(store, entry.version);
  }

  // The releases besides the channel's that the configuration asks for, oldest first: what is older
  // than a store's newest release is not brought in any more. False when one failed.
  bool sync_others(const Mirror& mirror, const std::string& channel, const MirrorStore& store) {
    if (mirror.versions.empty()) return true;
    std::uint64_t newest = 0;
    if (fs_.status(store.path / "oci-layout")) {
      for (const SiteRelease& release : list_releases(store.path)) {
        newest = std::max(newest, release.release_number);
      }
    }
    const trust::OriginIndex& index = listing(config_.origin(mirror.origin));
    const trust::OriginRelease head = source::channel_release(
        fs_, open(config_.origin(mirror.origin)), index, channel, store.path, store.trust);
    bool complete = true;
    for (const trust::OriginRelease& release : index.releases) {
      if (release.number <= newest || release.number >= head.number || !wanted(mirror, release)) {
        continue;
      }
      MirroredRelease entry{
          mirror.origin, channel, store.name, release.version, "current", 0, 0, {}, 0, {}, {}};
      try {
        sync(mirror, store, release.version, channel, entry);
      } catch (const Error& error) {
        tell(entry, error);
        complete = false;
      }
      report_.releases.push_back(std::move(entry));
    }
    return complete;
  }

  static bool wanted(const Mirror& mirror, const trust::OriginRelease& release) {
    const auto version = release::SemVer::parse(release.version);
    return version && std::ranges::any_of(mirror.versions, [&](const auto& pattern) {
             return pattern.matches(*version);
           });
  }

  const trust::OriginIndex& listing(const MirrorOrigin& origin) {
    auto& index = listings_[origin.name];
    if (!index) index = source::read_origin_index(open(origin));
    return *index;
  }

  void collect(const Mirror& mirror, const MirrorStore& store, MirroredRelease& entry) {
    if (mirror.keep == 0 || entry.state != "synced") return;
    CollectOptions options;
    options.keep = mirror.keep;
    // What an interrupted run has left of a release that the channel has passed by.
    options.drop_unfinished = true;
    entry.removed =
        fmt::format("{}", fmt::join(collect_garbage(store.path, options).releases, " "));
  }

  void run_hooks(const MirrorStore& store, const std::string& version) {
    if (config_.hooks.empty()) return;
    for (const release::Hook& hook : release::find_hooks(fs_, config_.hooks)) {
      const release::HookResult result =
          release::run_hook(hook, {store.path, {}, version, config_.hook_time_limit, {}}, cancel_);
      if (result.state == release::HookState::passed) continue;
      report_.notes.push_back(
          fmt::format("hook {} for {} {}: {}", result.name, store.name, version, result.reason));
    }
  }

  const MirrorOptions& options_;
  FileSystem& fs_;
  MirrorConfig config_;
  std::string digest_;
  site::MirrorState state_;
  Progress& progress_;
  const Cancel& cancel_;
  std::map<std::string, std::shared_ptr<transfer::Origin>> origins_;
  std::map<std::string, std::optional<trust::OriginIndex>> listings_;
  MirrorReport report_;
};

// Where a release may be fetched from again.
struct Supply {
  const MirrorOrigin* origin = nullptr;
  std::string channel;
};

Supply find_supply(const MirrorConfig& config, const std::string& store) {
  for (const Mirror& mirror : config.mirrors) {
    if (std::ranges::find(mirror.stores, store) == mirror.stores.end()) continue;
    return {&config.origin(mirror.origin), mirror.channels.front()};
  }
  return {};
}

void repair_release(const MirrorConfig& config, const MirrorStore& store,
                    const std::string& version, Progress& progress, const Cancel& cancel) {
  const Supply supply = find_supply(config, store.name);
  if (supply.origin == nullptr) return;
  ImportOptions options;
  options.sources = {supply.origin->address};
  options.store = store.path;
  options.version = version;
  options.channel = supply.channel;
  options.repair = true;
  options.access = source_access(config, *supply.origin);
  import_release(options, progress, cancel);
}

// Registries are asked for every manifest and blob of what was pushed into them.
void check_registries(const MirrorOptions& options, const MirrorConfig& config,
                      const site::MirrorState& state, bool repair, MirrorCheck& check,
                      Progress& progress, const Cancel& cancel) {
  for (const Mirror& mirror : config.mirrors) {
    for (const std::string& channel : mirror.channels) {
      const ChannelMemory memory = state.recall(mirror.origin, channel);
      for (const std::string& name : mirror.registries) {
        const auto held = memory.stores.find(name);
        const bool chosen = options.stores.empty() ||
                            std::ranges::find(options.stores, name) != options.stores.end();
        if (held == memory.stores.end() || !chosen) continue;
        PushOptions push = push_options(config, config.registry(name),
                                        config.store(mirror.stores.front()), held->second);
        push.recheck = true;
        push.dry_run = !repair;
        for (const PushedArtifact& artifact : push_release(push, progress, cancel).artifacts) {
          if (artifact.state == "present") continue;
          const bool failed = artifact.exit_status != 0;
          check.problems.push_back({name, held->second, artifact.digest,
                                    failed ? artifact.message : artifact.target + " is not whole",
                                    artifact.state == "pushed"});
        }
      }
    }
  }
}

}  // namespace

MirrorReport run_mirror(const MirrorOptions& options, Progress& progress, const Cancel& cancel) {
  return MirrorRun(options, load_config(posix_file_system(), options.config), progress, cancel)
      .run();
}

MirrorReport mirror_status(const std::filesystem::path& config) {
  FileSystem& fs = posix_file_system();
  const MirrorConfig loaded = load_config(fs, config).config;
  if (auto report = site::MirrorState(fs, loaded.state).last_report()) return std::move(*report);
  throw Error(ErrorCode::not_found, fmt::format("{} has no report of a run", loaded.state.string()),
              "'mirror-sync run' makes one.");
}

MirrorCheck check_mirror(const MirrorOptions& options, bool repair, Progress& progress,
                         const Cancel& cancel) {
  FileSystem& fs = posix_file_system();
  const MirrorConfig config = load_config(fs, options.config).config;
  site::MirrorState state(fs, config.state);
  const auto lock = state.lock();
  MirrorCheck check;
  for (const MirrorStore& store : config.stores) {
    const bool chosen = options.stores.empty() ||
                        std::ranges::find(options.stores, store.name) != options.stores.end();
    if (!chosen || !fs.status(store.path / "oci-layout")) continue;
    const StoreAudit audit = audit_store(store.path, 0, progress, cancel);
    check.blobs += audit.blobs;
    check.bytes += audit.bytes;
    std::set<std::string> versions;
    for (const StoreProblem& problem : audit.problems) versions.insert(problem.release);
    if (repair) {
      for (const std::string& version : versions) {
        repair_release(config, store, version, progress, cancel);
      }
    }
    const StoreAudit after =
        repair && !versions.empty() ? audit_store(store.path, 0, progress, cancel) : audit;
    for (const StoreProblem& problem : audit.problems) {
      const bool left = std::ranges::any_of(after.problems, [&](const StoreProblem& other) {
        return other.release == problem.release && other.digest == problem.digest;
      });
      check.problems.push_back(
          {store.name, problem.release, problem.digest, problem.problem, !left});
    }
  }
  check_registries(options, config, state, repair, check, progress, cancel);
  return check;
}

}  // namespace bundle
