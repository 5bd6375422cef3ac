// The vendor's channels as a store knows them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/site_store.h"

namespace bundle::store {

// Pointers in a store at most; more are not read.
inline constexpr std::size_t kMaxStoreChannels = 256;

// What the newest pointer of a channel in the store says. Its signatures were checked when it came
// in, and are not checked here: for people, and never a reason to trust a release.
struct ChannelInfo {
  std::string product;
  std::string channel;
  std::uint64_t sequence = 0;
  std::string version;  // of the release that the channel stands at, which may not be in the store
  std::string expires;  // RFC 3339
};

// Sorted by product and channel. A pointer that cannot be read is left out; throws nothing for what
// is in the store.
std::vector<ChannelInfo> read_channels(const SiteStore& store);

}  // namespace bundle::store
