// What goes wrong with one request, as the client sees it.
#pragma once

#include <string>
#include <string_view>

namespace bundle::registry {

// Error codes of the distribution-spec ("Error Codes"), and three that registries add by custom
// because the specification has no word for them.
namespace error_code {
inline constexpr std::string_view kBlobUnknown = "BLOB_UNKNOWN";
inline constexpr std::string_view kUploadUnknown = "BLOB_UPLOAD_UNKNOWN";
inline constexpr std::string_view kUploadInvalid = "BLOB_UPLOAD_INVALID";
inline constexpr std::string_view kDenied = "DENIED";
inline constexpr std::string_view kDigestInvalid = "DIGEST_INVALID";
inline constexpr std::string_view kManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN";
inline constexpr std::string_view kManifestInvalid = "MANIFEST_INVALID";
inline constexpr std::string_view kManifestUnknown = "MANIFEST_UNKNOWN";
inline constexpr std::string_view kNameInvalid = "NAME_INVALID";
inline constexpr std::string_view kNameUnknown = "NAME_UNKNOWN";
inline constexpr std::string_view kSizeInvalid = "SIZE_INVALID";
inline constexpr std::string_view kTooManyRequests = "TOOMANYREQUESTS";
inline constexpr std::string_view kUnauthorized = "UNAUTHORIZED";
inline constexpr std::string_view kUnsupported = "UNSUPPORTED";
inline constexpr std::string_view kPageInvalid = "PAGINATION_NUMBER_INVALID";  // by custom
inline constexpr std::string_view kRangeInvalid = "RANGE_INVALID";             // by custom
inline constexpr std::string_view kUnavailable = "UNAVAILABLE";                // by custom
}  // namespace error_code

struct Failure {
  unsigned status = 500;  // HTTP
  std::string_view code;  // one of the above: static storage
  std::string message;    // for people; valid UTF-8

  // The body that the distribution-spec prescribes.
  std::string body() const;
};

}  // namespace bundle::registry
