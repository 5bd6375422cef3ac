// Publishing: releases as static files that any web server serves. What the files are and how they
// are to be served: docs/origin.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bundle/progress.h"

namespace bundle {

inline constexpr std::size_t kDefaultOriginReleases = 3;  // N, N-1, N-2

struct PublishOptions {
  std::filesystem::path origin;                // folder; made when it is not there
  std::vector<std::filesystem::path> bundles;  // folders; none: only pointers move
  std::filesystem::path trust_folder;          // the vendor's (bundle/trust.h); its news go along
  // A public key or root that sites are pinned to; empty: the oldest root of the trust folder.
  std::filesystem::path trust;
  std::uint64_t volume_size = 0;  // largest file; 0: one file a bundle
  // Newest releases that stay, besides those that a channel stands at; 0: all stay.
  std::size_t keep = kDefaultOriginReleases;
  // Why the publication may leave a supported site without a way to the newest release; goes on
  // record. Empty: it may not.
  std::string strand;
  bool dry_run = false;  // say what would change, and change nothing
};

struct PublishedBundle {
  std::string version;
  std::string bundle_id;
  std::uint64_t bytes = 0;  // of all its volumes
  bool is_new = false;
};
struct PublishedChannel {
  std::string name;
  std::string version;
  std::uint64_t sequence = 0;
  bool moved = false;
};
struct PublishReport {
  std::string product;
  std::vector<PublishedBundle> bundles;  // that were named
  std::vector<PublishedChannel> channels;
  std::vector<std::string> removed;  // versions
  bool dry_run = false;              // then `bytes` are those of the bundles that were named
};

// Every signature and every byte of a bundle is checked on the way, as a site would. What becomes
// visible is whole: files first, then the listing, then the pointers, each moved by one rename;
// killed at any moment, the next run goes on. A run that has nothing to do changes no file.
// Throws what verifying throws; Error{usage, name_collision}; {statement_mismatch} when a version
// is there with other content; {release_unknown} when a pointer leads nowhere; {rollback} for a
// trust folder that is older than what was published; {gate_refused} when a site at a release that
// stays would have no way to where a channel stands, and when the base image of a release that is
// new, or that a channel moves to, is older than its policy without a signed reason; {busy,
// no_space, io_error}. Memory: as recut_bundle.
PublishReport publish(const PublishOptions& options, Progress& progress, const Cancel& cancel);

}  // namespace bundle
