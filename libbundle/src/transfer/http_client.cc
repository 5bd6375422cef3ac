#include "transfer/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>

#include "transfer/http_error.h"
#include "transfer/http_retry.h"
#include "transfer/http_transfer.h"

namespace bundle::transfer {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

// A line break inside a header would let data write headers of its own.
void check_header(const HttpHeader& header) {
  const auto is_bad = [](char c) { return c == '\r' || c == '\n' || c == '\0'; };
  if (header.name.empty() || std::ranges::any_of(header.name, is_bad) ||
      std::ranges::any_of(header.value, is_bad) || header.name.find(':') != std::string::npos) {
    throw Error(ErrorCode::usage, "a request header holds a line break or no name",
                "Look for line breaks in credentials and addresses.");
  }
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool may_repeat(const HttpRequest& request) {
  if (request.repeat != Repeat::usual) return request.repeat == Repeat::any;
  return request.method != "POST" && request.method != "PATCH";
}

bool is_worth_repeating(const HttpRequest& request, int status) {
  if (request.repeat == Repeat::any && status >= 500) return true;
  const bool refused_untouched = status == 429 || status == 503;
  return refused_untouched || (is_retry_status(status) && may_repeat(request));
}

}  // namespace

void HttpHeaders::add(std::string name, std::string value) {
  list_.push_back({std::move(name), std::move(value)});
}

std::optional<std::string_view> HttpHeaders::find(std::string_view name) const {
  const auto found = std::ranges::find_if(
      list_, [name](const HttpHeader& header) { return same_name(header.name, name); });
  if (found == list_.end()) return std::nullopt;
  return found->value;
}

std::vector<std::string_view> HttpHeaders::find_all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const HttpHeader& header : list_) {
    if (same_name(header.name, name)) values.emplace_back(header.value);
  }
  return values;
}

void HttpHeaders::remove(std::string_view name) {
  std::erase_if(list_, [name](const HttpHeader& header) { return same_name(header.name, name); });
}

HttpBody HttpBody::text(std::string text) {
  // The source must keep its text alive.
  struct TextSource final : Source {
    explicit TextSource(std::shared_ptr<const std::string> kept)
        : text(std::move(kept)), rest(as_bytes(*text)) {}
    std::size_t read(std::span<std::uint8_t> buffer) override { return rest.read(buffer); }
    std::shared_ptr<const std::string> text;
    MemorySource rest;
  };
  auto shared = std::make_shared<const std::string>(std::move(text));
  return {shared->size(), [shared] { return std::make_unique<TextSource>(shared); }};
}

std::optional<std::uint64_t> HttpResponse::content_length() const {
  const std::optional<std::string_view> text = headers().find("Content-Length");
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const char* const end = text->data() + text->size();
  const auto result = std::from_chars(text->data(), end, value);
  if (result.ec != std::errc{} || result.ptr != end) return std::nullopt;
  return value;
}

struct HttpClient::State {
  HttpOptions options;
  std::shared_ptr<SessionPool> pool = std::make_shared<SessionPool>();
  std::mutex mutex;
  std::map<std::string, steady_clock::time_point> not_before;  // by origin, from Retry-After

  // One attempt: the request and the redirects that it leads to.
  std::unique_ptr<HttpResponse> follow(const HttpRequest& request, const Url& start);
  Url next_url(const HttpResponse& response, std::string_view location) const;
  milliseconds delay_after(const HttpResponse& response, int attempt);
  milliseconds backoff(int attempt) const;
  void wait(milliseconds delay, const std::string& why) const;
  void wait_for_origin(const Url& url);
  void hold_origin(const Url& url, milliseconds delay);
};

HttpClient::HttpClient(HttpOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
}

HttpClient::~HttpClient() = default;

const HttpOptions& HttpClient::options() const {
  return state_->options;
}

std::unique_ptr<HttpResponse> HttpClient::send(const HttpRequest& request) {
  const Url url = Url::parse(request.url, "request");
  std::ranges::for_each(request.headers.all(), check_header);
  for (int attempt = 1;; ++attempt) {
    const bool last = attempt >= state_->options.max_attempts;
    state_->wait_for_origin(url);
    std::unique_ptr<HttpResponse> response;
    try {
      response = state_->follow(request, url);
    } catch (const Error& error) {
      if (last || !is_transient(error) || !may_repeat(request)) throw;
      state_->wait(state_->backoff(attempt), error.message());
      continue;
    }
    const int status = response->status();
    if (last || !is_worth_repeating(request, status)) return response;
    const milliseconds delay = state_->delay_after(*response, attempt);
    const std::string why = fmt::format("{} answered {}", response->url().printable(), status);
    discard_body(*response);
    response.reset();
    state_->wait(delay, why);
  }
}

std::unique_ptr<HttpResponse> HttpClient::State::follow(const HttpRequest& request,
                                                        const Url& start) {
  const bool follows = request.method == "GET" || request.method == "HEAD";
  Url url = start;
  bool with_credentials = true;
  for (int redirects = 0;; ++redirects) {
    std::unique_ptr<HttpResponse> response =
        std::make_unique<Transfer>(options, pool, Exchange{&request, url, with_credentials});
    const std::optional<std::string_view> location = response->headers().find("Location");
    if (!follows || !is_redirect(response->status()) || !location) return response;
    if (redirects >= options.max_redirects) {
      throw Error(
          ErrorCode::http_status,
          fmt::format("{} redirects more than {} times", start.printable(), options.max_redirects),
          "The server is set up wrongly; check the address.");
    }
    url = next_url(*response, *location);
    // Once dropped they stay dropped, even when a later hop comes back.
    with_credentials = with_credentials && url.origin() == start.origin();
    discard_body(*response);
  }
}

Url HttpClient::State::next_url(const HttpResponse& response, std::string_view location) const {
  const std::string from = response.url().printable();
  Url next;
  try {
    next = response.url().resolve(location, "redirect from " + from);
  } catch (const Error& error) {
    throw Error(ErrorCode::http_status, error.message(),
                "The server redirects to an address that cannot be used; tell its operator.");
  }
  if (response.url().scheme == "https" && next.scheme != "https") {
    throw Error(ErrorCode::tls_failed,
                fmt::format("{} redirects from https to plain http ({})", from, next.printable()),
                "Somebody may be tampering with the connection, or the server is set up wrongly. "
                "Nothing was sent there.");
  }
  return next;
}

milliseconds HttpClient::State::backoff(int attempt) const {
  return backoff_delay(attempt, options.backoff_base, options.backoff_max, random_fraction());
}

milliseconds HttpClient::State::delay_after(const HttpResponse& response, int attempt) {
  const std::optional<std::string_view> header = response.headers().find("Retry-After");
  const std::optional<milliseconds> asked =
      header ? parse_retry_after(*header, current_time()) : std::nullopt;
  if (!asked) return backoff(attempt);
  const milliseconds delay = std::min(*asked, options.retry_after_max);
  hold_origin(response.url(), delay);
  return delay;
}

void HttpClient::State::wait(milliseconds delay, const std::string& why) const {
  if (options.on_wait && delay > milliseconds::zero()) {
    options.on_wait(fmt::format("{}; trying again in {:.1f} s", why,
                                static_cast<double>(delay.count()) / 1000.0));
  }
  sleep_or_cancel(delay, options.cancel);
}

void HttpClient::State::hold_origin(const Url& url, milliseconds delay) {
  const std::lock_guard lock(mutex);
  auto& until = not_before[url.origin()];
  until = std::max(until, steady_clock::now() + delay);
}

void HttpClient::State::wait_for_origin(const Url& url) {
  milliseconds left{0};
  {
    const std::lock_guard lock(mutex);
    const auto held = not_before.find(url.origin());
    if (held == not_before.end()) return;
    left = std::chrono::ceil<milliseconds>(held->second - steady_clock::now());
    if (left <= milliseconds::zero()) not_before.erase(held);
  }
  if (left > milliseconds::zero()) wait(left, url.origin() + " asked to wait");
}

}  // namespace bundle::transfer
