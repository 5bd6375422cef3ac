// Where an origin's files come from: a web server or a folder. docs/origin.md says what they are.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/file_system.h"
#include "transfer/http_client.h"

namespace bundle::transfer {

// What a document was like when it was read; both may be empty.
struct Validator {
  std::string etag;
  std::string last_modified;
  bool operator==(const Validator&) const = default;
};

struct OriginDocument {
  bool unchanged = false;  // since the validator that was given: there is no content then
  std::string content;
  Validator validator;
};

// How to read a document.
struct OriginQuery {
  std::uint64_t max_bytes = 0;
  Validator known{};
  bool past_caches = false;  // asks caches on the way to look at the origin itself
};

// A file of a web server: its parts can be streamed, each by one request.
class RemoteFile : public ReadableFile {
 public:
  // The bytes of a range, in order; cuts are survived. The file outlives it.
  // Throws as HttpClient::send, Error{http_status} when the server does not answer ranges.
  virtual std::unique_ptr<Source> stream(std::uint64_t offset, std::uint64_t length) const = 0;
};

// Thread-safe. Names are relative paths of plain components.
class Origin {
 public:
  virtual ~Origin() = default;
  // Nothing when there is no such document. Throws Error{limit|network|timeout|http_status|
  // auth_failed|tls_failed|media_unreadable|...}.
  virtual std::optional<OriginDocument> read(const std::string& name,
                                             const OriginQuery& query) const = 0;
  // `size` as the listing has it. Of a web server nothing is asked here, and it is a RemoteFile.
  virtual std::unique_ptr<ReadableFile> open(const std::string& name, std::uint64_t size) const = 0;
  // For messages: "https://origin.example.com/app".
  virtual std::string text() const = 0;
  // True when reading a byte again costs time and money: what is needed is kept at the site.
  virtual bool is_remote() const = 0;
  // Bytes of bodies that came from a web server.
  virtual std::uint64_t bytes_received() const { return 0; }
};

struct OriginOptions {
  // First line: "USER:PASSWORD", or "Bearer TOKEN", or with `s3_region` "ACCESS_KEY:SECRET_KEY";
  // empty: none.
  Path credentials;
  std::string s3_region;  // requests are signed for this region of an object store; empty: not
  Path tls;               // as for load_tls_files; empty: the system's authorities
  std::uint64_t bytes_per_second = 0;  // 0: no limit
  HttpOptions http;
};

inline constexpr std::uint64_t kMaxCredentialsBytes = 16 * 1024;

// True for "http://..." and "https://...".
bool is_web_address(std::string_view place);

// `place`: an address, or a folder that holds an origin.json.
// Throws Error{usage|not_found|config_invalid|media_unreadable}.
std::shared_ptr<Origin> open_origin(FileSystem& fs, const std::string& place,
                                    const OriginOptions& options);

}  // namespace bundle::transfer
