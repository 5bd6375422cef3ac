// One download that survives cut connections.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "transfer/http_client.h"

namespace bundle::transfer {

// Sends a request; binds a client together with its credentials.
using HttpSend = std::function<std::unique_ptr<HttpResponse>(const HttpRequest&)>;

// A parsed "Content-Range: bytes 5-9/10" (RFC 9110 section 14.4).
struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::optional<std::uint64_t> total;  // nothing for "*"
};
std::optional<ContentRange> parse_content_range(std::string_view value);

struct DownloadOptions {
  HttpRequest request;  // a GET without a range
  // Only these bytes, both ends known. `size` is then that of the whole, the digest follows, and no
  // first answer is given: it is asked for at the first read().
  std::optional<ByteRange> part;
  HttpSend send;
  // What is downloaded, for messages.
  std::string what;
  // The caller knows the size (from a descriptor). More bytes than that throw Error{blob_mismatch}.
  std::optional<std::uint64_t> size;
  // The caller checks a digest at the end. Then a resume needs no ETag; without it and without a
  // strong ETag a cut ends the download, because the parts could belong to different contents.
  bool digest_follows = false;
  // So many cuts in a row, with less than kResumeProgress bytes between them, end the download.
  int max_cuts = 5;
  // Wait after a cut that came without progress; doubles.
  std::chrono::milliseconds backoff_base{500};
  const Cancel* cancel = nullptr;  // polled while waiting; may be null
};

// Bytes after which the count of cuts starts again.
inline constexpr std::uint64_t kResumeProgress = 64 * 1024;

// Streams the body of `first`, which must be the 200 answer to `options.request` (null with a
// part). After a cut or a stall it asks for the rest (Range, If-Range with the ETag) through
// `options.send` and goes on. A server that ignores Range is read again from byte 0 and what is
// known already is skipped; when a part was asked for, that is Error{http_status} instead. read()
// throws Error{network|timeout|blob_mismatch|http_status|auth_failed|...}.
std::unique_ptr<Source> resume_download(DownloadOptions options,
                                        std::unique_ptr<HttpResponse> first);

}  // namespace bundle::transfer
