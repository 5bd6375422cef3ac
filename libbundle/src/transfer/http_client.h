// HTTP requests, answered as streams. libcurl behind one small interface.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/error.h"
#include "bundle/progress.h"
#include "io/file_system.h"
#include "io/stream.h"
#include "transfer/http_url.h"

namespace bundle::transfer {

// All header lines of one answer together. Registries send well under 8 KiB.
inline constexpr std::size_t kMaxHeaderBytes = 64 * 1024;
inline constexpr std::size_t kMaxHeaderCount = 256;
// An error answer or token is read up to here.
inline constexpr std::uint64_t kMaxErrorBodyBytes = 64 * 1024;
// In one stall_timeout of waiting: about 1 KB/s, which any real link has.
inline constexpr std::uint64_t kLeastProgress = 64 * 1024;
inline constexpr std::uint64_t kUnlimited = UINT64_MAX;

struct HttpHeader {
  std::string name;
  std::string value;
};

class HttpHeaders {
 public:
  void add(std::string name, std::string value);
  // First value of this name, compared without case; nothing when absent.
  std::optional<std::string_view> find(std::string_view name) const;
  std::vector<std::string_view> find_all(std::string_view name) const;
  void remove(std::string_view name);
  const std::vector<HttpHeader>& all() const { return list_; }
  void clear() { list_.clear(); }

 private:
  std::vector<HttpHeader> list_;
};

// What a request sends. `open` is called once per attempt, so a retry starts from the first byte.
struct HttpBody {
  std::uint64_t size = 0;
  std::function<std::unique_ptr<Source>()> open;

  static HttpBody text(std::string text);
};

struct ByteRange {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> last;  // inclusive; nothing means to the end
};

// When a request may be sent once more.
enum class Repeat : std::uint8_t {
  usual,  // as HttpClient::send says
  any,    // nothing is lost by a second one: after every failure and every 5xx
  never,  // only after 429 and 503: the caller finds out what has become of it
};

struct HttpRequest {
  std::string method = "GET";
  Repeat repeat = Repeat::usual;
  std::string url;
  // Authorization and Cookie are dropped when a redirect leaves the origin of `url`.
  HttpHeaders headers;
  std::optional<ByteRange> range;
  std::optional<HttpBody> body;
  // Reading more than this from the answer throws Error{limit}.
  std::uint64_t max_response_bytes = kUnlimited;
};

// TLS files, already read. Verification of servers is always on and has no switch.
struct TlsFiles {
  std::string ca_pem;           // trusted in addition to the system's authorities; may be empty
  std::string client_cert_pem;  // sent to the origin of a request only, never after a redirect
  std::string client_key_pem;   // not encrypted
};

// `path` is a PEM file of authorities, or a directory as in containers-certs.d(5): *.crt and *.pem
// are authorities, NAME.cert with NAME.key is the client's certificate.
// Throws Error{not_found|config_invalid|limit}.
TlsFiles load_tls_files(FileSystem& fs, const Path& path);

// A signature of version 4 of AWS on each request, as object stores with S3's interface ask for. As
// with other credentials, none goes where a redirect leaves the origin of the request.
struct RequestSigning {
  std::string region;  // "eu-central-1"
  std::string access_key;
  std::string secret_key;
};

struct HttpOptions {
  std::string user_agent = "bundle";
  TlsFiles tls;
  std::optional<RequestSigning> signing;
  std::chrono::milliseconds connect_timeout{30'000};
  // Less than kLeastProgress in either direction in this much waiting ends an attempt: a server
  // that drips is as bad as one that is silent. There is no limit on the whole.
  std::chrono::milliseconds stall_timeout{60'000};
  int max_redirects = 5;
  int max_attempts = 5;  // for one request; the first counts
  // Wait before attempt n+1: backoff_base * 2^(n-1), at most backoff_max, times 0.5 to 1.0 by
  // chance so that many sites do not come back at once.
  std::chrono::milliseconds backoff_base{500};
  std::chrono::milliseconds backoff_max{30'000};
  // A longer Retry-After is cut to this: an operator is waiting.
  std::chrono::milliseconds retry_after_max{300'000};
  // Polled while waiting; may be null. The caller keeps it alive.
  const Cancel* cancel = nullptr;
  // Told before each wait ("registry.example.com answered 429, waiting 30 s"). May be empty.
  // Called from the thread that sends.
  std::function<void(const std::string&)> on_wait;
};

// An answer. The body is read from the network as read() is called, so memory stays at about one
// receive buffer. read() throws Error{network|timeout|limit|cancelled}. Not thread-safe.
// Dropping it before the end of the body closes the connection.
class HttpResponse : public Source {
 public:
  virtual int status() const = 0;
  virtual const HttpHeaders& headers() const = 0;
  // Where the answer came from, after redirects.
  virtual const Url& url() const = 0;
  // Content-Length, when the server gave one that can be parsed.
  std::optional<std::uint64_t> content_length() const;
};

// Sends requests, keeps connections for the next one. Thread-safe: each running request has its
// own handle out of a pool.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Returns when the header of the last answer is in. Any status is returned, not thrown: the
  // caller knows what 401 or 404 mean. Connection errors and 429, 502, 503 and 504 are retried
  // first (POST and PATCH only after 429 and 503, which say that nothing was done; Repeat says
  // more). A Retry-After holds back every request of this client to that origin.
  // Redirects are followed for GET and HEAD, never from https to http.
  // Throws Error{network|timeout|tls_failed|http_status|cancelled|usage|limit}.
  std::unique_ptr<HttpResponse> send(const HttpRequest& request);

  const HttpOptions& options() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bundle::transfer
