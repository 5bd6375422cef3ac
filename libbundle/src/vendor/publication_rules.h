// What a publication may not do: leave a supported site without a way, or offer a release on a base
// image that is older than its policy. Pure functions over what was read.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "release/upgrade_path.h"
#include "trust/pointer.h"

namespace bundle::vendor {

struct ChannelMove {
  const trust::ChannelPointer& pointer;
  bool moved = false;  // it did not stand at this release before
};

// `stored`: the releases that are there afterwards, ascending; each pointer names one of them.
// Throws Error{gate_refused} when a site at one of them has no way to where a channel stands.
void require_ways(const std::vector<release::StoredRelease>& stored,
                  std::span<const ChannelMove> channels);

// `added`: versions that were not there before. Throws Error{gate_refused} when the base of one of
// them, or of a release that a channel moves to, is stale at `now` and nobody signed a reason: in
// the manifest or in the pointer. Returns the reasons that were needed, each once.
std::vector<std::string> require_fresh_bases(const std::vector<release::StoredRelease>& stored,
                                             std::span<const std::string> added,
                                             std::span<const ChannelMove> channels, UnixTime now);

}  // namespace bundle::vendor
