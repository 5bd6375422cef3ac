#include "store/channels.h"

#include <map>
#include <utility>

#include "base/time.h"
#include "bundle/error.h"
#include "trust/limits.h"
#include "trust/pointer.h"

namespace bundle::store {
namespace {

constexpr std::string_view kPointerSuffix = ".channel.json";

std::vector<Path> pointer_files(const SiteStore& store) {
  std::vector<Path> files;
  const Path channels = store.root() / "channels";
  if (!store.fs().status(channels)) return files;
  for (const std::string& product : store.fs().list(channels)) {
    const auto status = store.fs().status(channels / product);
    if (!status || status->kind != FileKind::directory) continue;
    for (const std::string& name : store.fs().list(channels / product)) {
      if (!name.ends_with(kPointerSuffix)) continue;
      if (files.size() == kMaxStoreChannels) return files;
      files.push_back(channels / product / name);
    }
  }
  return files;
}

}  // namespace

std::vector<ChannelInfo> read_channels(const SiteStore& store) {
  std::map<std::pair<std::string, std::string>, ChannelInfo> newest;
  try {
    for (const Path& file : pointer_files(store)) {
      try {
        const auto pointer = trust::parse_pointer(
            read_text_file(store.fs(), file, trust::kMaxPointerBytes), file.string());
        ChannelInfo& known = newest[{pointer.product, pointer.channel}];
        if (known.sequence >= pointer.sequence) continue;
        known = ChannelInfo{pointer.product, pointer.channel, pointer.sequence,
                            pointer.release_version, format_time(pointer.expires)};
      } catch (const Error&) {
        // A pointer that was replaced meanwhile, or is none.
      }
    }
  } catch (const Error&) {
    // No folder that can be listed: nothing is known of channels.
  }
  std::vector<ChannelInfo> channels;
  for (auto& [key, channel] : newest) channels.push_back(std::move(channel));
  return channels;
}

}  // namespace bundle::store
