#include "transfer/registry_upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "bundle/error.h"
#include "transfer/http_error.h"
#include "transfer/http_retry.h"
#include "transfer/upload_headers.h"

namespace bundle::transfer {
namespace {

constexpr int kCreated = 201;
constexpr int kAccepted = 202;
constexpr int kNoContent = 204;
constexpr int kBadRequest = 400;
constexpr int kUnauthorized = 401;
constexpr int kForbidden = 403;
constexpr int kConflict = 409;
constexpr int kRangeNotSatisfiable = 416;

// A part of a file. The file outlives it.
class RangeSource final : public Source {
 public:
  RangeSource(const ReadableFile& file, std::uint64_t offset, std::uint64_t length,
              const UploadOptions& options, const Cancel* cancel)
      : file_(file), offset_(offset), left_(length), options_(options), cancel_(cancel) {}

  std::size_t read(std::span<std::uint8_t> buffer) override {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), left_));
    if (want == 0) return 0;
    const std::size_t count = file_.read_at(offset_, buffer.first(want));
    offset_ += count;
    left_ -= count;
    if (options_.limit != nullptr) options_.limit->take(count, cancel_);
    return count;
  }

 private:
  const ReadableFile& file_;
  std::uint64_t offset_;
  std::uint64_t left_;
  const UploadOptions& options_;
  const Cancel* cancel_;
};

std::optional<std::uint64_t> kept_by(const HttpResponse& response) {
  return kept_bytes(response.headers().find("Range").value_or(""));
}

// The session of the distribution-spec ("Pushing a blob in chunks").
class Upload {
 public:
  Upload(const Repository& repository, const Digest& digest, const ReadableFile& blob,
         const UploadOptions& options)
      : repository_(repository),
        digest_(digest),
        blob_(blob),
        size_(blob.size()),
        options_(options),
        chunk_(std::max<std::uint64_t>(options.chunk_bytes, 1)) {}

  Delivery run(const std::string& mount_from) {
    if (!mount_from.empty() && mount(mount_from)) return Delivery::mounted;
    const HttpOptions& http = repository_.client().http_options();
    for (int fruitless = 0;;) {
      const std::uint64_t before = best_;
      std::string trouble;
      try {
        if (send_all(trouble)) return Delivery::uploaded;
      } catch (const Error& error) {
        if (!is_transient(error)) throw;
        trouble = error.message();
      }
      fruitless = best_ > before ? 1 : fruitless + 1;
      if (fruitless >= http.max_attempts) give_up(trouble);
      const auto delay =
          backoff_delay(fruitless, http.backoff_base, http.backoff_max, random_fraction());
      if (http.on_wait) http.on_wait(trouble + "; trying again");
      sleep_or_cancel(delay, http.cancel);
      // The answer may have been lost and not the request.
      if (repository_.has_blob(digest_)) return Delivery::uploaded;
      find_place();
    }
  }

 private:
  std::string what() const {
    return fmt::format("blob {} to {}", digest_.text(), repository_.image().repository_text());
  }

  std::unique_ptr<HttpResponse> send(HttpRequest request) const {
    return repository_.client().send(repository_.image(), std::move(request),
                                     std::string(kPushActions));
  }

  // False: what was tried did not work out and may be tried again; `trouble` says why.
  bool send_all(std::string& trouble) {
    if (location_.empty() && !start(trouble)) return false;
    const bool in_one = offset_ == 0 && size_ <= chunk_;
    while (!in_one && offset_ < size_) {
      if (!send_chunk(trouble)) return false;
    }
    return finish(in_one, trouble);
  }

  bool start(std::string& trouble) {
    HttpRequest request = begin_request("blobs/uploads/");
    request.repeat = Repeat::any;  // an upload more is dropped by the registry
    const auto response = send(std::move(request));
    return accept(*response, "start to push", trouble);
  }

  HttpRequest begin_request(const std::string& path) const {
    HttpRequest request;
    request.method = "POST";
    request.url = repository_.client().url(repository_.image(), path);
    request.body = HttpBody::text({});
    return request;
  }

  // 201: the registry has it elsewhere; 202: it offers an ordinary upload.
  bool mount(const std::string& from) {
    HttpRequest request = begin_request(fmt::format(
        "blobs/uploads/?mount={}&from={}", percent_encode(digest_.text()), percent_encode(from)));
    request.repeat = Repeat::any;
    try {
      const auto response = send(std::move(request));
      if (response->status() == kCreated) {
        discard_body(*response);
        return true;
      }
      std::string trouble;
      if (response->status() == kAccepted) accept(*response, "mount", trouble);
    } catch (const Error& error) {
      // Not allowed to read there: the bytes do as well.
      if (error.code() != ErrorCode::auth_failed) throw;
    }
    return false;
  }

  bool send_chunk(std::string& trouble) {
    const std::uint64_t length = std::min(chunk_, size_ - offset_);
    HttpRequest request = body_request("PATCH", location_, length);
    request.headers.add("Content-Range", fmt::format("{}-{}", offset_, offset_ + length - 1));
    const auto response = send(std::move(request));
    const std::uint64_t sent = offset_ + length;
    if (response->status() == kRangeNotSatisfiable) {
      discard_body(*response);
      trouble = what() + ": the registry is at another place of the upload";
      return false;
    }
    if (!accept(*response, "push", trouble)) return false;
    advance(std::min(kept_by(*response).value_or(sent), sent));
    return true;
  }

  bool finish(bool with_content, std::string& trouble) {
    const std::string url = fmt::format("{}{}digest={}", location_,
                                        location_.find('?') == std::string::npos ? '?' : '&',
                                        percent_encode(digest_.text()));
    const auto response = send(body_request("PUT", url, with_content ? size_ : 0));
    if (response->status() == kCreated || response->status() == kNoContent) {
      discard_body(*response);
      advance(size_);
      return true;
    }
    accept(*response, "push", trouble);
    return false;
  }

  HttpRequest body_request(std::string method, std::string url, std::uint64_t length) const {
    HttpRequest request;
    request.method = std::move(method);
    request.url = std::move(url);
    request.repeat = Repeat::never;
    request.headers.add("Content-Type", "application/octet-stream");
    request.body =
        HttpBody{length, [this, offset = offset_, length] {
                   return std::make_unique<RangeSource>(blob_, offset, length, options_,
                                                        repository_.client().http_options().cancel);
                 }};
    return request;
  }

  // Takes over where the session goes on. False after what another attempt may cure: a failure of
  // the server, and a session that it has forgotten.
  bool accept(HttpResponse& response, std::string_view action, std::string& trouble) {
    const int status = response.status();
    if (status == kAccepted || status == kNoContent) {
      const auto location = response.headers().find("Location");
      if (location) location_ = next_location(response, *location);
      chunk_ = std::max(
          chunk_,
          std::min(least_chunk_bytes(response.headers().find("OCI-Chunk-Min-Length").value_or("")),
                   size_));
      discard_body(response);
      if (!location_.empty()) return true;
      throw Error(ErrorCode::http_status,
                  fmt::format("cannot {} {}: the registry names no place for it", action, what()),
                  "The server is no OCI registry; check the address.");
    }
    const bool forgotten = !location_.empty() && status >= 400 && status < 500 &&
                           status != kUnauthorized && status != kForbidden && status != 413 &&
                           resets_ < kMaxResets;
    if (status < 500 && !forgotten) throw_status(response, fmt::format("{} {}", action, what()));
    trouble = fmt::format("cannot {} {}: {} answered {}", action, what(),
                          response.url().printable(), status);
    if (status < 500) ++resets_;
    if (status < 500) lost_ = true;
    discard_body(response);
    return false;
  }

  std::string next_location(const HttpResponse& response, std::string_view location) const {
    const Url next = response.url().resolve(location, "upload to " + what());
    if (response.url().scheme == "https" && next.scheme != "https") {
      throw Error(ErrorCode::tls_failed,
                  fmt::format("{} wants the rest sent without encryption, to {}",
                              response.url().printable(), next.printable()),
                  "The registry does not know that it is behind TLS: tell its operator (a proxy "
                  "must pass X-Forwarded-Proto, or the registry's own address must be set).");
    }
    return next.text();
  }

  void advance(std::uint64_t offset) {
    offset_ = offset;
    best_ = std::max(best_, offset);
    if (options_.on_progress) options_.on_progress(best_);
  }

  // Where the registry is after a failure; from the start when it does not tell.
  void find_place() {
    std::string location;
    std::swap(location, location_);
    offset_ = 0;
    const bool lost = std::exchange(lost_, false);
    if (location.empty() || lost) return;
    const HttpOptions& http = repository_.client().http_options();
    for (int attempt = 1; attempt < http.max_attempts; ++attempt) {
      HttpRequest request;
      request.url = location;
      request.repeat = Repeat::any;
      const auto response = send(std::move(request));
      const int status = response->status();
      const auto kept = kept_by(*response);
      if (status == kNoContent && kept && *kept <= size_) {
        const auto next = response->headers().find("Location");
        location_ = next ? next_location(*response, *next) : location;
        advance(*kept);
      }
      discard_body(*response);
      if (status != kBadRequest && status != kConflict) return;
      // The request that was cut may still be open on the registry's side.
      sleep_or_cancel(
          backoff_delay(attempt, http.backoff_base, http.backoff_max, random_fraction()),
          http.cancel);
    }
  }

  [[noreturn]] void give_up(const std::string& trouble) const {
    throw Error(ErrorCode::network, trouble,
                "The registry or the way to it fails again and again. Run the same command later: "
                "what is there is not sent again.");
  }

  // A session may be forgotten so often in the life of one blob: registries that tell neither why
  // nor where cost this many uploads at most.
  static constexpr int kMaxResets = 3;

  const Repository& repository_;
  const Digest& digest_;
  const ReadableFile& blob_;
  std::uint64_t size_;
  const UploadOptions& options_;
  std::uint64_t chunk_;
  std::string location_;      // of the session; empty: none
  std::uint64_t offset_ = 0;  // bytes that the registry has
  std::uint64_t best_ = 0;    // the most that it ever had
  int resets_ = 0;
  bool lost_ = false;  // the session
};

}  // namespace

Delivery upload_blob(const Repository& repository, const Digest& digest, const ReadableFile& blob,
                     const std::string& mount_from, const UploadOptions& options) {
  return Upload(repository, digest, blob, options).run(mount_from);
}

}  // namespace bundle::transfer
