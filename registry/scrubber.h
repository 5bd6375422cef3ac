// Reads every blob file again now and then, so that silent rot is found before a node needs the
// blob.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "registry/blob_files.h"
#include "registry/live_catalog.h"
#include "registry/pushed_repositories.h"

namespace bundle::registry {

// One thread; spreads the bytes of the store evenly over the period. The order is another one each
// time, so that a service that is often restarted gets to every blob, too. Nothing is written:
// a verdict lives in BlobFiles, and so in /readyz.
class Scrubber {
 public:
  using Note = std::function<void(const std::string&)>;

  // `period` 0: never. `note` is called from the scrubber's thread.
  Scrubber(const LiveCatalog& live, const PushedRepositories& pushed, BlobFiles& files,
           std::chrono::milliseconds period, Note note);
  ~Scrubber();
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

 private:
  void run();
  void pass();
  // False when it is time to end.
  bool sleep_for(std::chrono::nanoseconds time);

  const LiveCatalog& live_;
  const PushedRepositories& pushed_;
  BlobFiles& files_;
  std::chrono::milliseconds period_;
  Note note_;
  std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bundle::registry
