// An origin behind a web server: conditional requests for documents, byte ranges for volumes.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "bundle/error.h"
#include "io/safe_path.h"
#include "transfer/http_download.h"
#include "transfer/http_error.h"
#include "transfer/origin.h"
#include "transfer/rate_limit.h"

namespace bundle::transfer {
namespace {

// The start of a volume holds its header and most or all of its head: one request for both.
constexpr std::uint64_t kFrontBytes = 64 * 1024;

constexpr int kOk = 200;
constexpr int kNotModified = 304;
constexpr int kNotFound = 404;
constexpr int kGone = 410;

// Where all files of an origin come from.
struct Server {
  Server(const std::string& address, std::string authorization_header, HttpOptions options,
         std::uint64_t bytes_per_second)
      : base(address),
        authorization(std::move(authorization_header)),
        http(std::move(options)),
        limit(bytes_per_second) {
    while (base.ends_with('/')) base.pop_back();
  }

  std::unique_ptr<HttpResponse> send(HttpRequest request) {
    if (!authorization.empty()) request.headers.add("Authorization", authorization);
    return http.send(request);
  }

  std::string url(const std::string& name) const {
    if (!is_safe_relative_path(name)) {
      throw Error(ErrorCode::unsafe_path, fmt::format("'{}' leads out of {}", name, base),
                  "The origin's listing is not what bundle-make publish writes.");
    }
    std::string url = base;
    for (std::string_view rest = name; !rest.empty();) {
      const auto slash = std::min(rest.find('/'), rest.size());
      url += "/" + percent_encode(rest.substr(0, slash));
      rest.remove_prefix(std::min(slash + 1, rest.size()));
    }
    return url;
  }

  std::string base;
  std::string authorization;
  HttpClient http;
  RateLimit limit;
  std::atomic<std::uint64_t> received{0};
};

// Counts, and holds back to the limit.
class MeteredSource final : public Source {
 public:
  MeteredSource(std::shared_ptr<Server> server, std::unique_ptr<Source> source)
      : server_(std::move(server)), source_(std::move(source)) {}

  std::size_t read(std::span<std::uint8_t> buffer) override {
    const std::size_t count = source_->read(buffer);
    server_->received.fetch_add(count, std::memory_order_relaxed);
    server_->limit.take(count, server_->http.options().cancel);
    return count;
  }

 private:
  std::shared_ptr<Server> server_;
  std::unique_ptr<Source> source_;
};

DownloadOptions download_options(const std::shared_ptr<Server>& server, HttpRequest request) {
  DownloadOptions options;
  options.what = Url::parse(request.url, "origin").printable();
  options.request = std::move(request);
  options.send = [server](const HttpRequest& again) { return server->send(again); };
  options.cancel = server->http.options().cancel;
  options.max_cuts = server->http.options().max_attempts;
  options.backoff_base = server->http.options().backoff_base;
  return options;
}

class HttpFile final : public RemoteFile {
 public:
  HttpFile(std::shared_ptr<Server> server, const std::string& name, std::uint64_t size)
      : server_(std::move(server)), url_(server_->url(name)), path_(url_), size_(size) {}

  std::size_t read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const override {
    if (offset >= size_) return 0;
    const auto want =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), size_ - offset));
    const std::size_t known = copy_front(offset, buffer.first(want));
    if (known == want) return want;
    const auto rest = stream(offset + known, want - known);
    if (read_full(*rest, buffer.subspan(known, want - known)) == want - known) return want;
    throw Error(ErrorCode::network, fmt::format("{} ends early", url_));
  }

  std::unique_ptr<Source> stream(std::uint64_t offset, std::uint64_t length) const override {
    Bytes known = take_front(offset, length);
    if (known.empty()) return request(offset, length);
    return std::make_unique<Continued>(*this, std::move(known), offset, length);
  }

  std::uint64_t size() const override { return size_; }
  const Path& path() const override { return path_; }

 private:
  // What was there of a range, then the rest.
  class Continued final : public Source {
   public:
    Continued(const HttpFile& file, Bytes known, std::uint64_t offset, std::uint64_t length)
        : file_(file),
          known_(std::move(known)),
          next_(offset + known_.size()),
          left_(length - known_.size()) {}

    std::size_t read(std::span<std::uint8_t> buffer) override {
      if (given_ < known_.size()) {
        const std::size_t count = std::min(buffer.size(), known_.size() - given_);
        std::ranges::copy(ByteView(known_).subspan(given_, count), buffer.begin());
        given_ += count;
        return count;
      }
      if (left_ == 0) return 0;
      if (!rest_) rest_ = file_.request(next_, left_);
      return rest_->read(buffer);
    }

   private:
    const HttpFile& file_;
    Bytes known_;
    std::size_t given_ = 0;
    std::uint64_t next_;
    std::uint64_t left_;
    std::unique_ptr<Source> rest_;
  };

  std::unique_ptr<Source> request(std::uint64_t offset, std::uint64_t length) const {
    HttpRequest request;
    request.url = url_;
    DownloadOptions options = download_options(server_, std::move(request));
    options.part = ByteRange{offset, offset + length - 1};
    options.size = size_;
    options.digest_follows = true;
    return std::make_unique<MeteredSource>(server_, resume_download(std::move(options), nullptr));
  }

  // What the front has of the range, once: who asks for a byte again does not want the same one.
  Bytes take_front(std::uint64_t offset, std::uint64_t length) const {
    const std::lock_guard lock(mutex_);
    if (offset >= front_.size()) return {};
    const auto from = static_cast<std::size_t>(offset);
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(length, front_.size() - offset));
    const ByteView part = ByteView(front_).subspan(from, count);
    Bytes taken(part.begin(), part.end());
    front_.resize(from);
    return taken;
  }

  // What the front has of the range; it is fetched when first needed.
  std::size_t copy_front(std::uint64_t offset, std::span<std::uint8_t> buffer) const {
    const std::uint64_t end = std::min(kFrontBytes, size_);
    if (offset >= end) return 0;
    const std::lock_guard lock(mutex_);
    if (front_.empty()) {
      Bytes front(static_cast<std::size_t>(end));
      const auto source = request(0, end);
      front.resize(read_full(*source, front));
      front_ = std::move(front);
    }
    if (offset >= front_.size()) return 0;
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), front_.size() - offset));
    std::copy_n(front_.begin() + static_cast<std::ptrdiff_t>(offset), count, buffer.begin());
    return count;
  }

  std::shared_ptr<Server> server_;
  std::string url_;
  Path path_;
  std::uint64_t size_;
  mutable std::mutex mutex_;
  mutable Bytes front_;
};

std::string header_of(const HttpResponse& response, std::string_view name) {
  const auto value = response.headers().find(name);
  return value ? std::string(*value) : std::string();
}

class HttpOrigin final : public Origin {
 public:
  explicit HttpOrigin(std::shared_ptr<Server> server) : server_(std::move(server)) {}

  std::optional<OriginDocument> read(const std::string& name,
                                     const OriginQuery& query) const override {
    HttpRequest request;
    request.url = server_->url(name);
    request.max_response_bytes = query.max_bytes;
    if (query.past_caches) request.headers.add("Cache-Control", "no-cache");
    const std::string& etag = query.known.etag;
    const std::string& date = query.known.last_modified;
    HttpRequest conditional = request;
    if (!etag.empty()) conditional.headers.add("If-None-Match", etag);
    if (etag.empty() && !date.empty()) conditional.headers.add("If-Modified-Since", date);
    auto response = server_->send(conditional);
    OriginDocument document;
    switch (response->status()) {
      case kNotModified:
        discard_body(*response);
        document.unchanged = true;
        document.validator = query.known;
        return document;
      case kNotFound:
      case kGone:
        discard_body(*response);
        return std::nullopt;
      case kOk:
        break;
      default:
        throw_status(*response, "get " + name);
    }
    document.validator = {header_of(*response, "ETag"), header_of(*response, "Last-Modified")};
    MeteredSource body(server_, resume_download(download_options(server_, std::move(request)),
                                                std::move(response)));
    document.content = std::string(as_text(read_all(body, query.max_bytes, name)));
    return document;
  }

  std::unique_ptr<ReadableFile> open(const std::string& name, std::uint64_t size) const override {
    return std::make_unique<HttpFile>(server_, name, size);
  }

  std::string text() const override { return Url::parse(server_->base, "origin").printable(); }
  bool is_remote() const override { return true; }
  std::uint64_t bytes_received() const override {
    return server_->received.load(std::memory_order_relaxed);
  }

 private:
  std::shared_ptr<Server> server_;
};

std::string first_line(FileSystem& fs, const Path& file) {
  std::string line = read_text_file(fs, file, kMaxCredentialsBytes);
  line.resize(std::min(line.find_first_of("\r\n"), line.size()));
  return line;
}

RequestSigning read_signing(FileSystem& fs, const OriginOptions& options) {
  if (options.credentials.empty()) {
    throw Error(ErrorCode::usage, "an object store of a region needs credentials",
                "Give a file whose first line is ACCESS_KEY:SECRET_KEY.");
  }
  const std::string line = first_line(fs, options.credentials);
  const auto colon = line.find(':');
  if (colon != std::string::npos && colon > 0 && colon + 1 < line.size()) {
    return {options.s3_region, line.substr(0, colon), line.substr(colon + 1)};
  }
  throw Error(
      ErrorCode::config_invalid,
      fmt::format("{}: the first line is not ACCESS_KEY:SECRET_KEY", options.credentials.string()),
      "Write the two keys of the object store's user in this form.");
}

// The Authorization header out of a credentials file.
std::string read_authorization(FileSystem& fs, const Path& file) {
  if (file.empty()) return {};
  const std::string line = first_line(fs, file);
  if (line.starts_with("Bearer ")) return line;
  if (line.find(':') == std::string::npos) {
    throw Error(ErrorCode::config_invalid,
                fmt::format("{}: the first line is neither USER:PASSWORD nor 'Bearer TOKEN'",
                            file.string()),
                "Write what the origin's operator gave you in one of these two forms.");
  }
  return "Basic " + to_base64(as_bytes(line));
}

}  // namespace

std::shared_ptr<Origin> open_http_origin(FileSystem& fs, const std::string& address,
                                         const OriginOptions& options) {
  Url::parse(address, "origin");
  if (address.find_first_of("?#") != std::string::npos) {
    throw Error(ErrorCode::usage, "the address of an origin ends before '?' and '#'",
                "Give the folder's address; credentials belong in a file.");
  }
  HttpOptions http = options.http;
  if (!options.tls.empty()) http.tls = load_tls_files(fs, options.tls);
  std::string authorization;
  if (options.s3_region.empty()) {
    authorization = read_authorization(fs, options.credentials);
  } else {
    http.signing = read_signing(fs, options);
  }
  return std::make_shared<HttpOrigin>(std::make_shared<Server>(
      address, std::move(authorization), std::move(http), options.bytes_per_second));
}

}  // namespace bundle::transfer
