// What mirror-sync remembers between runs: the state folder.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "bundle/mirror.h"
#include "io/file_system.h"
#include "transfer/origin.h"

namespace bundle::site {

inline constexpr std::uint64_t kMaxMirrorStateBytes = 16 * 1024 * 1024;

// What was found at a channel when it was last taken in.
struct ChannelMemory {
  std::string config;  // digest of the configuration that it was done by
  transfer::Validator validator;
  UnixTime expires = 0;  // of the pointer
  // Name of a store or registry to version: these have all that was asked for.
  std::map<std::string, std::string> stores;
};

// Files that cannot be read count as forgotten: everything is looked at again.
class MirrorState {
 public:
  MirrorState(FileSystem& fs, Path folder) : fs_(fs), folder_(std::move(folder)) {}

  // Throws Error{busy} when another run holds it.
  std::unique_ptr<FileLock> lock();
  ChannelMemory recall(const std::string& origin, const std::string& channel) const;
  void remember(const std::string& origin, const std::string& channel, const ChannelMemory& memory);
  // Nothing before the first run.
  std::optional<MirrorReport> last_report() const;
  void write_report(const MirrorReport& report);

 private:
  Path channel_file(const std::string& origin, const std::string& channel) const;

  FileSystem& fs_;
  Path folder_;
};

// The text exposition format of Prometheus, for the text file collector of its node exporter.
std::string mirror_metrics(const MirrorReport& report);

}  // namespace bundle::site
