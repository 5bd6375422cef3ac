// One HTTP exchange by libcurl. Internal to this room: the only header with libcurl types.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "transfer/http_client.h"

namespace bundle::transfer {

// Received bytes that may wait for read(). libcurl hands over at most 16 KiB at a time and is told
// to pause beyond this.
inline constexpr std::size_t kReceiveBuffer = 256 * 1024;
// Idle sessions that are kept for their open connections.
inline constexpr std::size_t kMaxIdleSessions = 16;

// An easy handle with its own multi handle, whose connection cache survives between exchanges.
class CurlSession {
 public:
  CurlSession();
  ~CurlSession();
  CurlSession(const CurlSession&) = delete;
  CurlSession& operator=(const CurlSession&) = delete;

  CURL* easy() const { return easy_; }
  CURLM* multi() const { return multi_; }

 private:
  CURL* easy_;
  CURLM* multi_;
};

// Thread-safe.
class SessionPool {
 public:
  // One that talked to `origin` before, if there is one idle.
  std::unique_ptr<CurlSession> take(const std::string& origin);
  void give_back(std::unique_ptr<CurlSession> session, const std::string& origin);

 private:
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::unique_ptr<CurlSession>>> idle_;  // oldest first
};

// What one exchange needs; no redirects, no retries at this level.
struct Exchange {
  const HttpRequest* request = nullptr;  // used while Transfer's constructor runs, and its body
  Url url;
  bool with_credentials = true;  // false once a redirect has left the origin of the request
};

// Sends in the constructor and returns from it when the header of the answer is in.
// Errors as HttpClient::send, plus Error{network|timeout|tls_failed} for this one exchange.
class Transfer final : public HttpResponse {
 public:
  Transfer(const HttpOptions& options, std::shared_ptr<SessionPool> pool, const Exchange& exchange);
  ~Transfer() override;

  std::size_t read(std::span<std::uint8_t> buffer) override;
  int status() const override { return status_; }
  const HttpHeaders& headers() const override { return headers_; }
  const Url& url() const override { return url_; }

 private:
  struct SlistDeleter {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  void configure(const Exchange& exchange);
  void configure_tls(bool with_client_cert);
  void configure_method(const HttpRequest& request);
  void configure_signing();
  void add_headers(const Exchange& exchange);
  // Lets libcurl work until `ready` or the exchange is over.
  template <typename Ready>
  void drive(Ready ready);
  void collect_result();
  void count_wait();
  void check_stall();
  [[noreturn]] void fail(CURLcode result);
  void detach();

  // libcurl calls these; exceptions are kept in caught_ because they may not pass through C.
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_upload(char* data, std::size_t size, std::size_t count, void* self);
  static int on_seek(void* self, curl_off_t offset, int origin);
  void take_header_line(std::string_view line);

  HttpOptions options_;
  std::shared_ptr<SessionPool> pool_;
  std::unique_ptr<CurlSession> session_;
  Url url_;
  std::string method_;
  std::optional<HttpBody> body_;
  std::unique_ptr<Source> upload_;
  std::unique_ptr<curl_slist, SlistDeleter> header_list_;
  bool signed_ = false;
  char error_text_[CURL_ERROR_SIZE] = {};

  int status_ = 0;
  HttpHeaders headers_;
  std::size_t header_bytes_ = 0;
  bool headers_done_ = false;

  Bytes received_;
  std::size_t received_from_ = 0;  // bytes before this were handed out
  std::uint64_t handed_out_ = 0;
  std::uint64_t max_body_ = kUnlimited;
  bool paused_ = false;
  bool finished_ = false;
  bool attached_ = false;
  CURLcode result_ = CURLE_OK;
  std::exception_ptr caught_;
  // Slow retrieval: time spent waiting for the server, and bytes that went meanwhile, since the
  // last kLeastProgress of them.
  std::chrono::steady_clock::time_point tick_;
  std::chrono::steady_clock::duration waited_{0};
  std::uint64_t moved_ = 0;
};

}  // namespace bundle::transfer
