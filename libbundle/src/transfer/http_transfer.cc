#include "transfer/http_transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "transfer/http_error.h"

namespace bundle::transfer {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How often a stop request is looked for while nothing arrives.
constexpr milliseconds kPollSlice{200};

void global_init() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (result != CURLE_OK) {
    throw Error(ErrorCode::internal, "libcurl does not start", "Reinstall the libcurl package.");
  }
}

// Options are ours, so a refusal is a bug or a libcurl built without TLS.
template <typename Value>
void set_option(CURL* easy, CURLoption option, Value value) {
  if (curl_easy_setopt(easy, option, value) != CURLE_OK) {
    throw Error(ErrorCode::internal,
                fmt::format("libcurl refuses option {}", static_cast<int>(option)),
                "Install the libcurl package of this system's distribution.");
  }
}

void set_blob(CURL* easy, CURLoption option, const std::string& pem) {
  if (pem.empty()) return;
  curl_blob blob{};
  blob.data = const_cast<char*>(pem.data());  // libcurl copies and does not write
  blob.len = pem.size();
  blob.flags = CURL_BLOB_COPY;
  set_option(easy, option, &blob);
}

bool is_credential_header(std::string_view name) {
  const auto same = [name](std::string_view other) {
    return name.size() == other.size() &&
           ::strncasecmp(name.data(), other.data(), name.size()) == 0;
  };
  return same("authorization") || same("cookie");
}

bool is_certificate_problem(CURLcode result) {
  static constexpr CURLcode kProblems[] = {
      CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM,
      CURLE_SSL_ISSUER_ERROR,         CURLE_SSL_CIPHER,         CURLE_SSL_INVALIDCERTSTATUS,
      CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_CLIENTCERT,     CURLE_USE_SSL_FAILED};
  return std::ranges::find(kProblems, result) != std::end(kProblems);
}

// What stores with S3's interface want to be told of a body, here of none.
constexpr std::string_view kEmptyBodyDigest =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

std::string host_header(const Url& url) {
  const std::uint16_t usual = url.scheme == "https" ? kHttpsPort : kHttpPort;
  return url.port == usual ? url.host : fmt::format("{}:{}", url.host, url.port);
}

// A connection that is cut within the handshake is a bad line, not a bad certificate.
bool is_cut_handshake(CURLcode result, std::string_view text) {
  return result == CURLE_SSL_CONNECT_ERROR &&
         (text.find("SSL_ERROR_SYSCALL") != text.npos || text.find("reset by peer") != text.npos ||
          text.find("unexpected eof") != text.npos);
}

std::string trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

}  // namespace

CurlSession::CurlSession() : easy_(nullptr), multi_(nullptr) {
  global_init();
  easy_ = curl_easy_init();
  multi_ = curl_multi_init();
  if (easy_ == nullptr || multi_ == nullptr) {
    curl_easy_cleanup(easy_);
    curl_multi_cleanup(multi_);
    throw Error(ErrorCode::internal, "libcurl gives no handle");
  }
}

CurlSession::~CurlSession() {
  curl_easy_cleanup(easy_);
  curl_multi_cleanup(multi_);
}

std::unique_ptr<CurlSession> SessionPool::take(const std::string& origin) {
  const std::lock_guard lock(mutex_);
  const auto same =
      std::ranges::find_if(idle_, [&origin](const auto& entry) { return entry.first == origin; });
  if (same == idle_.end()) return std::make_unique<CurlSession>();
  std::unique_ptr<CurlSession> session = std::move(same->second);
  idle_.erase(same);
  return session;
}

void SessionPool::give_back(std::unique_ptr<CurlSession> session, const std::string& origin) {
  const std::lock_guard lock(mutex_);
  idle_.emplace_back(origin, std::move(session));
  if (idle_.size() > kMaxIdleSessions) idle_.erase(idle_.begin());
}

Transfer::Transfer(const HttpOptions& options, std::shared_ptr<SessionPool> pool,
                   const Exchange& exchange)
    : options_(options),
      pool_(std::move(pool)),
      session_(pool_->take(exchange.url.origin())),
      url_(exchange.url),
      method_(exchange.request->method),
      body_(exchange.request->body),
      max_body_(exchange.request->max_response_bytes),
      tick_(steady_clock::now()) {
  configure(exchange);
  if (curl_multi_add_handle(session_->multi(), session_->easy()) != CURLM_OK) {
    throw Error(ErrorCode::internal, "libcurl does not take a request");
  }
  attached_ = true;
  try {
    const bool has_body = method_ != "HEAD";
    drive([this, has_body] { return headers_done_ && has_body; });
    if (!headers_done_) fail(result_);  // an error within the body shows on read()
  } catch (...) {
    detach();  // no destructor runs for an object whose constructor throws
    throw;
  }
}

Transfer::~Transfer() {
  const bool reusable = finished_ && result_ == CURLE_OK;
  detach();
  if (reusable) pool_->give_back(std::move(session_), url_.origin());
}

void Transfer::detach() {
  if (!attached_) return;
  curl_multi_remove_handle(session_->multi(), session_->easy());
  curl_easy_reset(session_->easy());  // forgets the pointers into this object
  attached_ = false;
}

void Transfer::configure(const Exchange& exchange) {
  CURL* easy = session_->easy();
  curl_easy_reset(easy);  // keeps open connections
  set_option(easy, CURLOPT_URL, url_.text().c_str());
  set_option(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set_option(easy, CURLOPT_FOLLOWLOCATION, 0L);  // HttpClient does that, with its own rules
  set_option(easy, CURLOPT_NOSIGNAL, 1L);
  set_option(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set_option(easy, CURLOPT_USERAGENT, options_.user_agent.c_str());
  set_option(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  set_option(easy, CURLOPT_ERRORBUFFER, &error_text_[0]);
  set_option(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  // Our Authorization is for the server, never for a proxy on the way.
  set_option(easy, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  set_option(easy, CURLOPT_BUFFERSIZE, static_cast<long>(kReceiveBuffer));
  set_option(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set_option(easy, CURLOPT_HEADERDATA, this);
  set_option(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set_option(easy, CURLOPT_WRITEDATA, this);
  configure_tls(exchange.with_credentials);
  configure_method(*exchange.request);
  signed_ = exchange.with_credentials && options_.signing.has_value();
  if (signed_) configure_signing();
  add_headers(exchange);
}

void Transfer::configure_signing() {
  CURL* easy = session_->easy();
  const RequestSigning& signing = *options_.signing;
  set_option(easy, CURLOPT_AWS_SIGV4, fmt::format("aws:amz:{}:s3", signing.region).c_str());
  set_option(easy, CURLOPT_USERNAME, signing.access_key.c_str());
  set_option(easy, CURLOPT_PASSWORD, signing.secret_key.c_str());
}

void Transfer::configure_tls(bool with_client_cert) {
  CURL* easy = session_->easy();
  set_option(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set_option(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  set_option(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  // The blob replaces the system's bundle file, the system's directory of authorities stays.
  set_blob(easy, CURLOPT_CAINFO_BLOB, options_.tls.ca_pem);
  if (!with_client_cert) return;
  set_blob(easy, CURLOPT_SSLCERT_BLOB, options_.tls.client_cert_pem);
  set_blob(easy, CURLOPT_SSLKEY_BLOB, options_.tls.client_key_pem);
}

void Transfer::configure_method(const HttpRequest& request) {
  CURL* easy = session_->easy();
  if (method_ == "HEAD") {
    set_option(easy, CURLOPT_NOBODY, 1L);
    return;
  }
  const bool sends_body =
      request.body || method_ == "POST" || method_ == "PUT" || method_ == "PATCH";
  if (sends_body) {
    set_option(easy, CURLOPT_UPLOAD, 1L);
    set_option(easy, CURLOPT_READFUNCTION, &Transfer::on_upload);
    set_option(easy, CURLOPT_READDATA, this);
    set_option(easy, CURLOPT_SEEKFUNCTION, &Transfer::on_seek);
    set_option(easy, CURLOPT_SEEKDATA, this);
    const std::uint64_t size = request.body ? request.body->size : 0;
    set_option(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size));
    if (request.body) upload_ = request.body->open();
  } else {
    set_option(easy, CURLOPT_HTTPGET, 1L);
  }
  set_option(easy, CURLOPT_CUSTOMREQUEST, method_.c_str());
}

void Transfer::add_headers(const Exchange& exchange) {
  const auto append = [this](const std::string& line) {
    curl_slist* longer = curl_slist_append(header_list_.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(header_list_.release());
    header_list_.reset(longer);
  };
  for (const HttpHeader& header : exchange.request->headers.all()) {
    if (!exchange.with_credentials && is_credential_header(header.name)) continue;
    // libcurl drops "Name:" but sends "Name;" as an empty value.
    append(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
  }
  if (signed_) {
    // libcurl 7.88 signs the host without its port unless it is told the header.
    append("Host: " + host_header(url_));
    append(fmt::format("x-amz-content-sha256: {}", kEmptyBodyDigest));
  }
  if (const std::optional<ByteRange>& range = exchange.request->range) {
    append(fmt::format("Range: bytes={}-{}", range->first,
                       range->last ? std::to_string(*range->last) : std::string()));
  }
  set_option(session_->easy(), CURLOPT_HTTPHEADER, header_list_.get());
}

template <typename Ready>
void Transfer::drive(Ready ready) {
  tick_ = steady_clock::now();  // the time between two reads is the caller's
  while (!finished_ && !ready()) {
    int running = 0;
    const CURLMcode worked = curl_multi_perform(session_->multi(), &running);
    if (worked != CURLM_OK) throw Error(ErrorCode::internal, curl_multi_strerror(worked));
    collect_result();
    if (caught_) std::rethrow_exception(caught_);
    if (finished_ || ready()) break;
    if (options_.cancel != nullptr) options_.cancel->check();
    check_stall();
    const auto slice = std::min(kPollSlice, options_.stall_timeout);
    curl_multi_poll(session_->multi(), nullptr, 0, static_cast<int>(slice.count()), nullptr);
  }
  count_wait();
}

void Transfer::collect_result() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(session_->multi(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    finished_ = true;
    result_ = message->data.result;
  }
}

void Transfer::count_wait() {
  const auto now = steady_clock::now();
  waited_ += now - tick_;
  tick_ = now;
  if (moved_ < kLeastProgress) return;
  waited_ = {};
  moved_ = 0;
}

void Transfer::check_stall() {
  count_wait();
  if (waited_ < options_.stall_timeout) return;
  throw Error(ErrorCode::timeout,
              fmt::format("{} bytes from {} in {} s of waiting", moved_, url_.printable(),
                          static_cast<double>(options_.stall_timeout.count()) / 1000.0),
              "Check the network connection, then run the same command again: it continues.");
}

void Transfer::fail(CURLcode result) {
  const std::string_view detail =
      error_text_[0] != '\0' ? std::string_view(&error_text_[0]) : curl_easy_strerror(result);
  const std::string message = fmt::format("cannot {} {}: {}", method_ == "HEAD" ? "GET" : method_,
                                          url_.printable(), printable_server_text(detail));
  if (result == CURLE_OPERATION_TIMEDOUT) {
    throw Error(ErrorCode::timeout, message,
                "Check the network, the firewall and the proxy settings (https_proxy, no_proxy).");
  }
  if (is_certificate_problem(result)) {
    throw Error(ErrorCode::tls_failed, message,
                "If the server uses a private certificate authority, name its certificate with "
                "the option for a CA file or directory. Also check this machine's clock.");
  }
  if (result == CURLE_SSL_CONNECT_ERROR && !is_cut_handshake(result, detail)) {
    throw Error(ErrorCode::tls_failed, message,
                "Check that the server speaks TLS 1.2 or newer on this port. A registry without "
                "TLS must be listed as insecure.");
  }
  throw Error(ErrorCode::network, message,
              "Check the address, the network and the proxy settings (https_proxy, no_proxy), then "
              "run the same command again: it continues.");
}

std::size_t Transfer::read(std::span<std::uint8_t> buffer) {
  if (buffer.empty()) return 0;
  const auto has_data = [this] { return received_from_ < received_.size(); };
  if (!has_data() && !finished_) {
    received_.clear();
    received_from_ = 0;
    if (paused_) {
      paused_ = false;
      curl_easy_pause(session_->easy(), CURLPAUSE_CONT);
      if (caught_) std::rethrow_exception(caught_);
    }
    drive(has_data);
  }
  if (!has_data()) {
    if (result_ != CURLE_OK) fail(result_);
    return 0;
  }
  const std::size_t count = std::min(buffer.size(), received_.size() - received_from_);
  if (count > max_body_ - handed_out_) {
    throw Error(ErrorCode::limit,
                fmt::format("{} sends more than {} bytes", url_.printable(), max_body_),
                "The answer is no document of the kind that was asked for; check the address.");
  }
  std::copy_n(received_.begin() + static_cast<std::ptrdiff_t>(received_from_), count,
              buffer.begin());
  received_from_ += count;
  handed_out_ += count;
  return count;
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::size_t length = size * count;
  try {
    transfer.take_header_line({data, length});
    return length;
  } catch (...) {
    transfer.caught_ = std::current_exception();
    return 0;  // anything but `length` ends the exchange
  }
}

void Transfer::take_header_line(std::string_view line) {
  moved_ += line.size();
  if (headers_done_) return;  // trailers after a chunked body say nothing that we use
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes || headers_.all().size() >= kMaxHeaderCount) {
    throw Error(ErrorCode::limit, fmt::format("{} sends too many header lines", url_.printable()),
                "This is no server that can be worked with; check the address.");
  }
  if (line.starts_with("HTTP/")) {  // a new block: what came before was 100 Continue or the like
    headers_.clear();
    return;
  }
  if (trim(line).empty()) {
    long code = 0;
    curl_easy_getinfo(session_->easy(), CURLINFO_RESPONSE_CODE, &code);
    status_ = static_cast<int>(code);
    headers_done_ = status_ >= 200;
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return;
  headers_.add(std::string(line.substr(0, colon)), trim(line.substr(colon + 1)));
}

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::size_t length = size * count;
  if (transfer.received_.size() - transfer.received_from_ + length > kReceiveBuffer) {
    transfer.paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  transfer.moved_ += length;
  try {
    transfer.received_.insert(transfer.received_.end(), data, data + length);
    return length;
  } catch (...) {
    transfer.caught_ = std::current_exception();
    return 0;
  }
}

std::size_t Transfer::on_upload(char* data, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (!transfer.upload_) return 0;
  try {
    const std::size_t length =
        transfer.upload_->read({reinterpret_cast<std::uint8_t*>(data), size * count});
    transfer.moved_ += length;
    return length;
  } catch (...) {
    transfer.caught_ = std::current_exception();
    return CURL_READFUNC_ABORT;
  }
}

// libcurl starts an upload again when a kept connection turns out to be dead.
int Transfer::on_seek(void* self, curl_off_t offset, int origin) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (offset != 0 || origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  try {
    if (transfer.body_) transfer.upload_ = transfer.body_->open();
    return CURL_SEEKFUNC_OK;
  } catch (...) {
    transfer.caught_ = std::current_exception();
    return CURL_SEEKFUNC_FAIL;
  }
}

}  // namespace bundle::transfer
