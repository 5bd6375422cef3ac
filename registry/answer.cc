#include "registry/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "codec/json.h"
#include "oci/reference.h"
#include "registry/byte_range.h"
#include "registry/request_limits.h"

namespace bundle::registry {
namespace {

constexpr std::string_view kJson = "application/json";

// What a digest names never changes; what a tag names changes with the next activation. Not
// "public": a shared cache must not keep what was asked for with credentials.
constexpr std::string_view kCacheForEver = "max-age=31536000, immutable";
constexpr std::string_view kAskAgain = "no-cache";

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// A digest that the specification allows but that no blob here has.
bool is_valid_sha512(std::string_view text) {
  static constexpr std::string_view kPrefix = "sha512:";
  return text.starts_with(kPrefix) && text.size() == kPrefix.size() + 128 &&
         is_lower_hex(text.substr(kPrefix.size()));
}

Failure digest_invalid() {
  return {400, error_code::kDigestInvalid,
          "a digest is sha256: and 64 lower-case hexadecimal digits"};
}

Failure name_unknown(const Route& route) {
  return {404, error_code::kNameUnknown,
          fmt::format("this site has no repository {}", route.full_name())};
}

std::string etag_of(const Digest& digest) {
  return "\"" + digest.text() + "\"";
}

// RFC 9110, If-None-Match: a list of entity tags, compared weakly, or "*".
bool matches_etag(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    const std::size_t comma = std::min(header.find(','), header.size());
    std::string_view item = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == "*" || item == etag) return true;
  }
  return false;
}

void add_identity(Answer& answer, const Digest& digest, std::string_view cache) {
  answer.headers.emplace_back("Docker-Content-Digest", digest.text());
  answer.headers.emplace_back("ETag", etag_of(digest));
  answer.headers.emplace_back("Cache-Control", cache);
}

Answer answer_manifest(const Route& route, const RequestHeaders& headers,
                       const Repository& repository) {
  DocumentPtr document;
  bool by_digest = false;
  if (route.reference.find(':') != std::string::npos) {
    by_digest = true;
    if (Digest::is_valid(route.reference)) {
      const auto at = repository.documents.find(Digest::parse(route.reference));
      if (at != repository.documents.end()) document = at->second;
    } else if (!is_valid_sha512(route.reference)) {
      return answer_failure(digest_invalid());
    }
  } else if (const auto at = repository.tags.find(route.reference); at != repository.tags.end()) {
    document = at->second;
  }
  if (!document) {
    return answer_failure({404, error_code::kManifestUnknown,
                           fmt::format("this site has no {}{}{}", route.name, by_digest ? "@" : ":",
                                       route.reference)});
  }
  Answer answer;
  add_identity(answer, document->descriptor.digest, by_digest ? kCacheForEver : kAskAgain);
  if (matches_etag(headers.if_none_match, etag_of(document->descriptor.digest))) {
    answer.status = 304;
    return answer;
  }
  answer.headers.emplace_back("Content-Type", document->descriptor.media_type);
  answer.content_length = document->bytes.size();
  answer.body = std::move(document);
  return answer;
}

Failure blob_failure(BlobState state, const Digest& digest) {
  switch (state) {
    case BlobState::exhausted:
    case BlobState::unverified:
      return {503, error_code::kUnavailable, "the registry cannot read its store just now"};
    case BlobState::damaged:
      return {
          500, error_code::kUnavailable,
          fmt::format("blob {} is damaged in the store and is not served; import its release, or "
                      "push it, again",
                      digest.text())};
    case BlobState::ready:
    case BlobState::missing:
      break;
  }
  return {404, error_code::kBlobUnknown,
          fmt::format("blob {} is missing from the store", digest.text())};
}

// Turns a whole-blob answer into a part of it when the client asked for one.
void apply_range(Answer& answer, const RequestHeaders& headers, const Digest& digest,
                 std::uint64_t size) {
  if (headers.range.empty()) return;
  if (!headers.if_range.empty() && headers.if_range != etag_of(digest)) return;
  const auto range = parse_byte_range(headers.range, size);
  if (std::holds_alternative<NotSatisfiable>(range)) {
    answer = answer_failure({416, error_code::kRangeInvalid, "the range is outside of the blob"});
    answer.headers.emplace_back("Content-Range", fmt::format("bytes */{}", size));
  } else if (const auto* part = std::get_if<ByteRange>(&range)) {
    answer.status = 206;
    answer.headers.emplace_back("Content-Range",
                                fmt::format("bytes {}-{}/{}", part->first, part->last, size));
    answer.content_length = part->length();
    std::get<FileSlice>(answer.body).offset = part->first;
  }
}

AnswerOrWait answer_blob(const Route& route, bool is_head, bool verified,
                         const RequestHeaders& headers, const Repository& repository,
                         BlobFiles& files) {
  if (!Digest::is_valid(route.reference) && !is_valid_sha512(route.reference)) {
    return answer_failure(digest_invalid());
  }
  const auto at = Digest::is_valid(route.reference)
                      ? repository.blobs.find(Digest::parse(route.reference))
                      : repository.blobs.end();
  if (at == repository.blobs.end()) {
    return answer_failure({404, error_code::kBlobUnknown,
                           fmt::format("{} has no blob {}", route.name, route.reference)});
  }
  const auto& [digest, facts] = *at;
  Answer answer;
  add_identity(answer, digest, kCacheForEver);
  if (matches_etag(headers.if_none_match, etag_of(digest))) {
    answer.status = 304;
    return answer;
  }
  OpenBlob blob = files.open(digest, facts);
  if (blob.state == BlobState::unverified && !verified) return NeedsVerification{digest, facts};
  if (blob.state != BlobState::ready) return answer_failure(blob_failure(blob.state, digest));
  answer.headers.emplace_back("Content-Type", "application/octet-stream");
  answer.headers.emplace_back("Accept-Ranges", "bytes");
  answer.content_length = facts.size;
  answer.body = FileSlice{std::move(blob.fd), 0};
  // RFC 9110: a Range header means nothing for HEAD.
  if (!is_head) apply_range(answer, headers, digest, facts.size);
  return answer;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// Nothing when it is no number; more than fits is as good as everything.
std::optional<std::size_t> parse_page_size(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return kMaxTagsPerPage;
  if (error != std::errc()) return std::nullopt;
  return std::min(value, kMaxTagsPerPage);
}

Answer answer_tags(const Route& route, const Repository& repository) {
  std::size_t limit = kMaxTagsPerPage;
  if (route.n) {
    const auto given = parse_page_size(*route.n);
    if (!given) {
      return answer_failure({400, error_code::kPageInvalid, "n is not a number of tags"});
    }
    limit = *given;
  }
  codec::Json tags = codec::Json::array();
  auto at = route.last ? repository.tags.upper_bound(*route.last) : repository.tags.begin();
  std::string last;
  for (std::size_t count = 0; count < limit && at != repository.tags.end(); ++count, ++at) {
    tags.push_back(at->first);
    last = at->first;
  }
  codec::Json list = codec::Json::object();
  list.set("name", route.name);
  list.set("tags", std::move(tags));
  Answer answer = answer_text(200, kJson, codec::dump_json(list) + "\n");
  if (limit > 0 && at != repository.tags.end()) {
    std::string next =
        fmt::format("/v2/{}/tags/list?n={}&last={}", route.name, limit, percent_encode(last));
    if (route.ns) next += "&ns=" + percent_encode(*route.ns);
    answer.headers.emplace_back("Link", "<" + next + ">; rel=\"next\"");
  }
  return answer;
}

codec::Json referrer_entry(const Document& document) {
  codec::Json entry = codec::Json::object();
  entry.set("mediaType", document.descriptor.media_type);
  entry.set("digest", document.descriptor.digest.text());
  entry.set("size", document.descriptor.size);
  if (!document.descriptor.artifact_type.empty()) {
    entry.set("artifactType", document.descriptor.artifact_type);
  }
  if (!document.descriptor.annotations.empty()) {
    codec::Json annotations = codec::Json::object();
    for (const auto& [key, value] : document.descriptor.annotations) annotations.set(key, value);
    entry.set("annotations", std::move(annotations));
  }
  return entry;
}

// Never 404: that would tell a client that this registry has no referrers API.
Answer answer_referrers(const Route& route, const Repository* repository) {
  if (!Digest::is_valid(route.reference) && !is_valid_sha512(route.reference)) {
    return answer_failure(digest_invalid());
  }
  codec::Json manifests = codec::Json::array();
  if (repository != nullptr && Digest::is_valid(route.reference)) {
    const auto at = repository->referrers.find(Digest::parse(route.reference));
    if (at != repository->referrers.end()) {
      for (const DocumentPtr& document : at->second) {
        if (route.artifact_type && document->descriptor.artifact_type != *route.artifact_type) {
          continue;
        }
        manifests.push_back(referrer_entry(*document));
      }
    }
  }
  codec::Json index = codec::Json::object();
  index.set("schemaVersion", 2);
  index.set("mediaType", oci::media_type::kIndex);
  index.set("manifests", std::move(manifests));
  Answer answer = answer_text(200, oci::media_type::kIndex, codec::dump_json(index));
  if (route.artifact_type) answer.headers.emplace_back("OCI-Filters-Applied", "artifactType");
  return answer;
}

// A repository with several full names (the short name of more than one) is open to those who may
// pull all of them. What does not exist is judged by the name that was asked for.
bool may_pull(const Route& route, const Repository* repository, const Admission& admission) {
  const auto allowed = [&](const std::string& name) {
    return admission.policy().allows(admission.caller, Verb::pull, name);
  };
  if (repository == nullptr) return allowed(route.full_name());
  return std::all_of(repository->full_names.begin(), repository->full_names.end(), allowed);
}

}  // namespace

Failure unauthorized(std::string message) {
  return {401, error_code::kUnauthorized, std::move(message)};
}

Failure refusal(const Caller& caller) {
  if (!caller.known()) return unauthorized("this needs a user and a password, or a token");
  return {403, error_code::kDenied, caller.name + " may not do this"};
}

Answer answer_text(unsigned status, std::string_view content_type, std::string body) {
  Answer answer;
  answer.status = status;
  answer.headers.emplace_back("Content-Type", content_type);
  answer.headers.emplace_back("Cache-Control", kAskAgain);
  answer.content_length = body.size();
  answer.body = std::move(body);
  return answer;
}

Answer answer_failure(const Failure& failure) {
  Answer answer = answer_text(failure.status, kJson, failure.body());
  if (failure.status == 405) answer.headers.emplace_back("Allow", "GET, HEAD");
  // No Bearer challenge: it would have to name a token server, and clients would go there.
  if (failure.status == 401) {
    answer.headers.emplace_back("WWW-Authenticate", "Basic realm=\"bundle-registry\"");
  }
  if (failure.status == 429 || failure.status == 503)
    answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

AnswerOrWait answer_v2(const Route& route, bool is_head, bool verified,
                       const RequestHeaders& headers, const Admission& admission,
                       const Catalog& catalog, const PushedRepositories& pushed, BlobFiles& files) {
  if (route.kind == RouteKind::base) {
    // Clients ask here whether to log in.
    const bool must_log_in = admission.policy().has_secrets() && !admission.caller.known();
    return must_log_in ? answer_failure(refusal(admission.caller)) : answer_text(200, kJson, "{}");
  }
  RepositoryPtr repository = catalog.find(route.name, route.ns);
  if (!repository) repository = pushed.find(route.full_name());
  if (!may_pull(route, repository.get(), admission)) {
    return answer_failure(refusal(admission.caller));
  }
  if (route.kind == RouteKind::referrers) return answer_referrers(route, repository.get());
  if (!repository) return answer_failure(name_unknown(route));
  if (route.kind == RouteKind::tags) return answer_tags(route, *repository);
  if (route.kind == RouteKind::blob) {
    return answer_blob(route, is_head, verified, headers, *repository, files);
  }
  return answer_manifest(route, headers, *repository);
}

}  // namespace bundle::registry
