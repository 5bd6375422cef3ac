#include "transfer/http_download.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "transfer/http_error.h"
#include "transfer/http_retry.h"

namespace bundle::transfer {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kMaxPause{30'000};

std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(result.ptr - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// A weak tag ("W/...") promises equal meaning, not equal bytes: useless for a resume.
std::string strong_etag(const HttpResponse& response) {
  const std::optional<std::string_view> tag = response.headers().find("ETag");
  if (!tag || tag->size() < 2 || tag->front() != '"' || tag->back() != '"') return {};
  return std::string(*tag);
}

class Download final : public Source {
 public:
  Download(DownloadOptions options, std::unique_ptr<HttpResponse> first)
      : options_(std::move(options)), response_(std::move(first)) {
    if (options_.part) {
      offset_ = last_cut_at_ = options_.part->first;
      total_ = *options_.part->last + 1;
      return;
    }
    etag_ = strong_etag(*response_);
    total_ = response_->content_length();
    if (!options_.size) return;
    if (total_ && *total_ != *options_.size) wrong_size(*total_);
    total_ = options_.size;
  }

  std::size_t read(std::span<std::uint8_t> buffer) override;

 private:
  std::size_t read_once(std::span<std::uint8_t> buffer);
  void after_cut(const Error& cut);
  void pause() const;
  void reopen();
  void accept_part();
  void accept_whole();
  void skip_known(std::uint64_t count);
  [[noreturn]] void wrong_size(std::uint64_t size) const;
  [[noreturn]] void changed() const;

  DownloadOptions options_;
  std::unique_ptr<HttpResponse> response_;  // null after a cut
  std::string etag_;
  std::optional<std::uint64_t> total_;  // where the stream ends
  std::uint64_t offset_ = 0;            // up to which bytes were handed out
  std::uint64_t last_cut_at_ = 0;       // offset_ when the connection was last cut
  int cuts_ = 0;                        // in a row without progress
  bool ended_ = false;
};

std::size_t Download::read(std::span<std::uint8_t> buffer) {
  while (!ended_ && !buffer.empty()) {
    try {
      if (!response_ && options_.part && offset_ == *total_) break;  // cut after the last byte
      if (!response_) reopen();
      return read_once(buffer);
    } catch (const Error& error) {
      if (!is_transient(error)) throw;
      response_.reset();
      after_cut(error);
    }
  }
  return 0;
}

std::size_t Download::read_once(std::span<std::uint8_t> buffer) {
  const std::size_t count = response_->read(buffer);
  if (count == 0) {
    if (total_ && offset_ < *total_) {
      throw Error(ErrorCode::network,
                  fmt::format("{} ends after {} of {} bytes", options_.what, offset_, *total_),
                  "Check the network connection, then run the same command again: it continues.");
    }
    ended_ = true;
    return 0;
  }
  const std::optional<std::uint64_t> end = options_.part ? total_ : options_.size;
  if (end && count > *end - offset_) wrong_size(offset_ + count);
  offset_ += count;
  return count;
}

void Download::after_cut(const Error& cut) {
  const bool resumable = options_.digest_follows || !etag_.empty() || offset_ == 0;
  if (!resumable) {
    throw Error(
        cut.code(),
        fmt::format("{} was cut after {} bytes and the server gives no ETag to continue: {}",
                    options_.what, offset_, cut.message()),
        cut.hint());
  }
  cuts_ = offset_ - last_cut_at_ >= kResumeProgress ? 1 : cuts_ + 1;
  last_cut_at_ = offset_;
  if (cuts_ >= options_.max_cuts) {
    throw Error(cut.code(),
                fmt::format("{} was cut {} times at byte {}: {}", options_.what, cuts_, offset_,
                            cut.message()),
                cut.hint());
  }
  if (cuts_ > 1) pause();
}

void Download::pause() const {
  sleep_or_cancel(backoff_delay(cuts_ - 1, options_.backoff_base, kMaxPause, random_fraction()),
                  options_.cancel);
}

void Download::reopen() {
  HttpRequest request = options_.request;
  if (options_.part) {
    request.range = ByteRange{offset_, options_.part->last};
  } else if (offset_ > 0) {
    request.range = ByteRange{offset_, std::nullopt};
    if (!etag_.empty()) request.headers.add("If-Range", etag_);
  }
  response_ = options_.send(request);
  switch (response_->status()) {
    case 200:
      return accept_whole();
    case 206:
      return accept_part();
    case 416:  // shorter than what we have: it is not the same content any more
      changed();
    default:
      throw_status(*response_, (options_.part ? "get a part of " : "continue ") + options_.what);
  }
}

void Download::accept_part() {
  const std::optional<std::string_view> header = response_->headers().find("Content-Range");
  const std::optional<ContentRange> range = header ? parse_content_range(*header) : std::nullopt;
  const bool asked = offset_ > 0 || options_.part;
  if (!asked || !range || range->first != offset_) {
    throw Error(ErrorCode::http_status,
                fmt::format("{}: {} answers another byte range than the one from {}", options_.what,
                            response_->url().printable(), offset_),
                "The server or a proxy on the way is broken; try another one.");
  }
  const std::optional<std::uint64_t> whole = options_.part ? options_.size : total_;
  if (whole && range->total && *range->total != *whole) changed();
  if (total_ && range->last >= *total_) changed();
  const std::string tag = strong_etag(*response_);
  if (!etag_.empty() && !tag.empty() && tag != etag_) changed();
}

void Download::accept_whole() {
  if (options_.part) {
    const bool whole = offset_ == 0 && options_.size && *total_ == *options_.size;
    if (whole && response_->content_length() == options_.size) return;
    throw Error(ErrorCode::http_status,
                fmt::format("{} gives the whole file where bytes {} to {} were asked for",
                            response_->url().printable(), offset_, *total_ - 1),
                "The server or a proxy on the way does not answer byte ranges: tell its operator.");
  }
  if (offset_ == 0) {
    etag_ = strong_etag(*response_);
    const std::optional<std::uint64_t> length = response_->content_length();
    if (options_.size && length && *length != *options_.size) wrong_size(*length);
    if (!options_.size) total_ = length;
    return;
  }
  // With If-Range a 200 may mean "changed" or "no ranges here"; the tag tells which.
  const bool same = !etag_.empty() && strong_etag(*response_) == etag_;
  if (!same && !options_.digest_follows) changed();
  skip_known(offset_);
}

void Download::skip_known(std::uint64_t count) {
  Bytes dropped(64 * 1024);
  while (count > 0) {
    const std::size_t want =
        static_cast<std::size_t>(std::min<std::uint64_t>(count, dropped.size()));
    const std::size_t have = response_->read(std::span(dropped).first(want));
    if (have == 0) changed();
    count -= have;
  }
}

void Download::wrong_size(std::uint64_t size) const {
  throw Error(ErrorCode::blob_mismatch,
              fmt::format("{}: the server has {} or more bytes, expected are {}", options_.what,
                          size, *options_.size),
              "The server holds other content under this name. Fetch the image into it again, or "
              "use another source.");
}

void Download::changed() const {
  throw Error(ErrorCode::blob_mismatch,
              fmt::format("{} changed on the server while it was downloaded", options_.what),
              "Run the same command again.");
}

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view value) {
  ContentRange range;
  if (!take(value, "bytes ")) return std::nullopt;
  const std::optional<std::uint64_t> first = take_number(value);
  if (!first || !take(value, "-")) return std::nullopt;
  const std::optional<std::uint64_t> last = take_number(value);
  if (!last || *last < *first || !take(value, "/")) return std::nullopt;
  range.first = *first;
  range.last = *last;
  if (value == "*") return range;
  range.total = take_number(value);
  if (!range.total || !value.empty() || *range.total <= *last) return std::nullopt;
  return range;
}

std::unique_ptr<Source> resume_download(DownloadOptions options,
                                        std::unique_ptr<HttpResponse> first) {
  return std::make_unique<Download>(std::move(options), std::move(first));
}

}  // namespace bundle::transfer
