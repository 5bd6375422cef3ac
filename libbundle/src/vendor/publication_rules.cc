#include "vendor/publication_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "release/upgrade_rules.h"

namespace bundle::vendor {
namespace {

using release::StoredRelease;

const StoredRelease& find_release(const std::vector<StoredRelease>& stored,
                                  const std::string& version) {
  return *std::ranges::find(stored, version,
                            [](const StoredRelease& entry) { return entry.manifest.version; });
}

void note(std::vector<std::string>& reasons, const std::string& reason) {
  if (std::ranges::find(reasons, reason) == reasons.end()) reasons.push_back(reason);
}

Error stale(const release::Manifest& manifest, UnixTime now, const std::string& channel) {
  const std::string where =
      channel.empty() ? std::string() : fmt::format(", and channel {} moves there", channel);
  return {ErrorCode::gate_refused,
          fmt::format("the base image of {} {}{}", manifest.version,
                      manifest.base_policy->describe(now), where),
          fmt::format("Make a release on a current base image. If {} cannot wait: 'bundle-make "
                      "promote ... --channel {} --stale-base REASON' signs the reason with the "
                      "pointer. Nothing was published.",
                      manifest.version, channel.empty() ? "NAME" : channel)};
}

}  // namespace

void require_ways(const std::vector<StoredRelease>& stored, std::span<const ChannelMove> channels) {
  std::vector<release::SemVer> known;
  for (const StoredRelease& entry : stored) known.push_back(release::app_version(entry.manifest));
  for (const ChannelMove& channel : channels) {
    const StoredRelease& target = find_release(stored, channel.pointer.release_version);
    for (const StoredRelease& site : stored) {
      if (!release::is_older(site.manifest, target.manifest)) continue;
      if (release::has_way({site.manifest, target.manifest, stored,
                            release::k8s_version(site.manifest), false, known})) {
        continue;
      }
      throw Error(
          ErrorCode::gate_refused,
          fmt::format("a site at {} would have no way to {}, where channel {} stands",
                      site.manifest.version, target.manifest.version, channel.pointer.channel),
          "Publish a release in between, or keep one with --keep; the rules are in "
          "docs/release-spec.md. If no site runs that release: --strand REASON. Nothing was "
          "published.");
    }
  }
}

std::vector<std::string> require_fresh_bases(const std::vector<StoredRelease>& stored,
                                             std::span<const std::string> added,
                                             std::span<const ChannelMove> channels, UnixTime now) {
  std::vector<std::string> reasons;
  const auto is_stale = [&](const release::Manifest& manifest) {
    return manifest.base_policy && manifest.base_policy->is_stale(now);
  };
  for (const ChannelMove& channel : channels) {
    const auto& manifest = find_release(stored, channel.pointer.release_version).manifest;
    if (!channel.moved || !is_stale(manifest)) continue;
    const std::string& signed_along = channel.pointer.stale_base_reason;
    const std::string& reason =
        signed_along.empty() ? manifest.base_policy->stale_reason : signed_along;
    if (reason.empty()) throw stale(manifest, now, channel.pointer.channel);
    note(reasons, reason);
  }
  for (const std::string& version : added) {
    const auto& manifest = find_release(stored, version).manifest;
    if (!is_stale(manifest)) continue;
    std::string reason = manifest.base_policy->stale_reason;
    for (const ChannelMove& channel : channels) {
      if (channel.pointer.release_version == version && reason.empty()) {
        reason = channel.pointer.stale_base_reason;
      }
    }
    if (reason.empty()) throw stale(manifest, now, "");
    note(reasons, reason);
  }
  return reasons;
}

}  // namespace bundle::vendor
