// Pushing: the content management part of the distribution-spec, for repositories that no release
// has. No socket in here.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <variant>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "registry/answer.h"
#include "registry/pushed_repositories.h"

namespace bundle::registry {

struct PushLimits {
  std::uint64_t max_upload = std::uint64_t{64} << 30;  // bytes of one blob
  // No upload is taken that leaves less than this on the disk: imports need it.
  std::uint64_t keep_free = std::uint64_t{1} << 30;
  std::chrono::seconds upload_idle{3600};            // then an upload is given up
  std::chrono::seconds unreferenced_age{24 * 3600};  // blobs that no manifest names are dropped
};

// What a request says besides its address. Views into the connection's memory.
struct PushHeaders {
  std::string_view content_type;
  std::string_view content_range;
  std::optional<std::uint64_t> content_length;  // nothing: the body comes in chunks
};

class PushApi;
struct Upload;

// One request that changes something, from its headers to its answer.
class PushWork {
 public:
  ~PushWork();
  PushWork(const PushWork&) = delete;
  PushWork& operator=(const PushWork&) = delete;

  // Takes a piece of the body. False: something is wrong and the rest is too long to be waited for.
  bool take(ByteView bytes);
  // After the whole body. Writes and syncs: takes its time. Never throws but bad_alloc.
  Answer finish();

 private:
  friend class PushApi;
  PushWork(PushApi& api, Route route, std::string method)
      : api_(api), route_(std::move(route)), method_(std::move(method)) {}

  PushApi& api_;
  Route route_;
  std::string method_;
  std::string content_type_;
  std::shared_ptr<Upload> upload_;  // busy as long as this object lives
  Bytes manifest_;
  // mount: where the blob is, and its file when it belongs to a release
  std::optional<BlobFacts> source_;
  std::string user_;
  std::optional<Failure> failure_;
  std::uint64_t discarded_ = 0;
};

// Thread-safe.
class PushApi {
 public:
  using Note = std::function<void(const std::string&)>;

  PushApi(PushedRepositories& pushed, BlobFiles& files, const store::SiteStore& store,
          const PushLimits& limits, Note note);
  ~PushApi();
  PushApi(const PushApi&) = delete;
  PushApi& operator=(const PushApi&) = delete;

  // All headers are there. An answer means that the body is not wanted.
  std::variant<Answer, std::unique_ptr<PushWork>> begin(const Route& route,
                                                        const std::string& method,
                                                        const PushHeaders& headers,
                                                        const Admission& admission,
                                                        const Catalog& catalog);
  // How far an upload is (GET), for who began it.
  Answer upload_status(const Route& route, const Caller& caller);
  std::size_t uploads() const;
  // Gives up idle uploads and drops blobs that no manifest has named for long. Runs by itself once
  // a minute.
  void sweep();

 private:
  friend class PushWork;

  std::shared_ptr<Upload> new_upload(const Route& route, const Caller& caller);
  std::shared_ptr<Upload> find_upload(const Route& route, const Caller& caller);
  std::optional<Failure> claim(PushWork& work, const PushHeaders& headers, const Caller& caller);
  void find_mount(PushWork& work, const Admission& admission, const Catalog& catalog) const;
  void check_space() const;

  Answer finish_upload(PushWork& work);
  Answer commit(PushWork& work);
  std::optional<Answer> mount(PushWork& work);
  Answer put_manifest(PushWork& work);
  Answer delete_manifest(const Route& route);
  Answer delete_blob(const Route& route);
  void drop_unreferenced(const std::string& name, const Repository& repository);

  PushedRepositories& pushed_;
  BlobFiles& files_;
  const store::SiteStore& store_;
  PushLimits limits_;
  Note note_;
  std::mutex change_mutex_;  // a change and its update are one step
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Upload>> uploads_;
  std::condition_variable stop_changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bundle::registry
