#include "transfer/registry_repository.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "oci/document.h"
#include "transfer/http_download.h"
#include "transfer/http_error.h"

namespace bundle::transfer {
namespace {

using oci::Descriptor;
using oci::Document;
using oci::is_document_type;

// Content-Type without parameters.
std::string content_type(const HttpResponse& response) {
  std::string_view text = response.headers().find("Content-Type").value_or("");
  text = text.substr(0, text.find(';'));
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return std::string(text);
}

std::optional<Digest> digest_header(const HttpResponse& response) {
  const std::optional<std::string_view> text = response.headers().find("Docker-Content-Digest");
  if (!text || !Digest::is_valid(*text)) return std::nullopt;
  return Digest::parse(*text);
}

[[noreturn]] void mismatch(const std::string& what, const std::string& detail) {
  throw Error(ErrorCode::blob_mismatch, fmt::format("{}: {}", what, detail),
              "The registry or a proxy on the way sends other content than it names. Nothing was "
              "kept. Try again; if it stays, push the image into the registry again.");
}

[[noreturn]] void not_a_registry(const std::string& what, const HttpResponse& response) {
  throw Error(
      ErrorCode::oci_invalid,
      fmt::format("{}: {} answers with a page for people ({})", what, response.url().printable(),
                  printable_server_text(content_type(response))),
      "Check the address of the registry; a proxy or a login page may be in between.");
}

// Passes a blob through and checks size and digest at its end.
class VerifiedBlob final : public Source {
 public:
  VerifiedBlob(std::unique_ptr<Source> source, const Digest& digest, std::uint64_t size,
               std::string what)
      : source_(std::move(source)), digest_(digest), size_(size), what_(std::move(what)) {}

  std::size_t read(std::span<std::uint8_t> buffer) override {
    if (verified_ || buffer.empty()) return 0;
    const std::size_t count = source_->read(buffer);
    if (count == 0) {
      verify();
      return 0;
    }
    seen_ += count;
    if (seen_ > size_) mismatch(what_, fmt::format("longer than {} bytes", size_));
    hash_.write(buffer.first(count));
    return count;
  }

 private:
  void verify() {
    if (seen_ != size_) mismatch(what_, fmt::format("{} bytes instead of {}", seen_, size_));
    if (const Digest have = hash_.finish(); have != digest_) {
      mismatch(what_, "its bytes hash to " + have.text());
    }
    verified_ = true;
  }

  std::unique_ptr<Source> source_;
  Digest digest_;
  std::uint64_t size_;
  std::string what_;
  Sha256 hash_;
  std::uint64_t seen_ = 0;
  bool verified_ = false;
};

}  // namespace

HttpRequest Repository::manifest_request(const std::string& manifest,
                                         std::string_view extra_type) const {
  HttpRequest request;
  request.url = client_->url(name_, "manifests/" + manifest);
  request.max_response_bytes = oci::kMaxDocumentBytes;
  request.repeat = Repeat::any;
  std::string accept =
      fmt::format("{}, {}, {}, {}", oci::media_type::kIndex, oci::media_type::kManifest,
                  oci::media_type::kDockerList, oci::media_type::kDockerManifest);
  if (!extra_type.empty() && !is_document_type(extra_type))
    accept += fmt::format(", {}", extra_type);
  request.headers.add("Accept", std::move(accept));
  return request;
}

std::optional<Document> Repository::get_document(const std::string& manifest,
                                                 const Descriptor* expected) const {
  const std::string label = what("manifest " + manifest);
  const std::string_view type = expected != nullptr ? std::string_view(expected->media_type) : "";
  const auto response = client_->send(name_, manifest_request(manifest, type));
  if (response->status() == 404) {
    discard_body(*response);
    return std::nullopt;
  }
  if (response->status() != 200) throw_status(*response, "get " + label);
  Document document;
  document.bytes = read_all(*response, oci::kMaxDocumentBytes, label);
  const Digest digest = sha256(document.bytes);
  if (const auto named = digest_header(*response); named && *named != digest) {
    mismatch(label, fmt::format("announced as {}, but its bytes hash to {}", named->text(),
                                digest.text()));
  }
  if (Digest::is_valid(manifest) && manifest != digest.text()) {
    mismatch(label, "its bytes hash to " + digest.text());
  }
  if (expected != nullptr) {
    oci::check_bytes(*expected, document.bytes, label);
    document.descriptor = *expected;
    return document;
  }
  document.descriptor.digest = digest;
  document.descriptor.size = document.bytes.size();
  document.descriptor.media_type = content_type(*response);
  if (!is_document_type(document.descriptor.media_type)) {
    if (document.descriptor.media_type.starts_with("text/")) not_a_registry(label, *response);
    document.descriptor.media_type = oci::sniff_media_type(document.bytes, label);
  }
  return document;
}

std::optional<Descriptor> Repository::head(const std::string& tag) const {
  HttpRequest request = manifest_request(tag, "");
  request.method = "HEAD";
  const auto response = client_->send(name_, std::move(request));
  if (response->status() == 404) return std::nullopt;
  if (response->status() != 200) throw_status(*response, "look for " + what("tag " + tag));
  Descriptor descriptor;
  descriptor.media_type = content_type(*response);
  const std::optional<Digest> digest = digest_header(*response);
  const std::optional<std::uint64_t> size = response->content_length();
  if (digest && size && *size > 0 && is_document_type(descriptor.media_type)) {
    descriptor.digest = *digest;
    descriptor.size = *size;
    return descriptor;
  }
  const std::optional<Document> document = get_document(tag, nullptr);
  if (!document) return std::nullopt;
  return document->descriptor;
}

std::optional<std::string> Repository::next_page(const HttpResponse& response) const {
  const std::string_view link = response.headers().find("Link").value_or("");
  const std::size_t end = link.find('>');
  if (!link.starts_with('<') || end == std::string_view::npos ||
      link.find("rel=\"next\"", end) == std::string_view::npos) {
    return std::nullopt;
  }
  const Url next = response.url().resolve(link.substr(1, end - 1), what("next page"));
  if (next.origin() != response.url().origin()) {  // credentials go along
    throw Error(
        ErrorCode::http_status,
        fmt::format("{}: the next page is at {}", what("list of referrers"), next.printable()),
        "The registry is set up wrongly; tell its operator.");
  }
  return next.text();
}

std::optional<std::vector<Descriptor>> Repository::api_referrers(const Digest& digest) const {
  const std::string label = what("list of referrers of " + digest.text());
  std::vector<Descriptor> found;
  std::optional<std::string> url = client_->url(name_, "referrers/" + digest.text());
  for (int page = 0; url; ++page) {
    if (page >= kMaxReferrerPages) {
      throw Error(ErrorCode::limit, fmt::format("{} has more than {} pages", label, page),
                  "Remove old signatures and attestations from the registry.");
    }
    HttpRequest request;
    request.url = *url;
    request.max_response_bytes = oci::kMaxDocumentBytes;
    request.repeat = Repeat::any;
    request.headers.add("Accept", std::string(oci::media_type::kIndex));
    const auto response = client_->send(name_, std::move(request));
    const int status = response->status();
    if (status == 400 || status == 404 || status == 405 || status == 501) {
      discard_body(*response);
      return std::nullopt;
    }
    if (status != 200) throw_status(*response, "get the " + label);
    // Front ends for people answer any path with a page.
    if (content_type(*response) != oci::media_type::kIndex) return std::nullopt;
    const Bytes body = read_all(*response, oci::kMaxDocumentBytes, label);
    oci::Index index = oci::parse_index(body, oci::media_type::kIndex, label);
    std::ranges::move(index.manifests, std::back_inserter(found));
    url = next_page(*response);
  }
  return found;
}

bool Repository::has_blob(const Digest& digest) const {
  HttpRequest request;
  request.method = "HEAD";
  request.url = client_->url(name_, "blobs/" + digest.text());
  request.repeat = Repeat::any;
  const auto response = client_->send(name_, std::move(request), std::string(kPushActions));
  if (response->status() == 200) return true;
  if (response->status() == 404) return false;
  throw_status(*response, "look for " + what("blob " + digest.text()));
}

bool Repository::put_document(const std::string& manifest, const Document& document) const {
  HttpRequest request;
  request.method = "PUT";
  request.url = client_->url(name_, "manifests/" + manifest);
  request.repeat = Repeat::any;
  request.headers.add("Content-Type", document.descriptor.media_type);
  request.body = HttpBody::text(std::string(as_text(document.bytes)));
  const auto response = client_->send(name_, std::move(request), std::string(kPushActions));
  if (response->status() != 201) throw_status(*response, "push " + what("manifest " + manifest));
  discard_body(*response);
  if (const auto named = digest_header(*response); named && *named != document.descriptor.digest) {
    mismatch(what("manifest " + manifest), "the registry took it as " + named->text());
  }
  return response->headers().find("OCI-Subject").has_value();
}

std::unique_ptr<Source> Repository::open_blob(const Descriptor& descriptor) const {
  const std::string label = what("blob " + descriptor.digest.text());
  DownloadOptions download;
  download.request.url = client_->url(name_, "blobs/" + descriptor.digest.text());
  download.send = [client = client_, name = name_](const HttpRequest& request) {
    return client->send(name, request);
  };
  download.what = label;
  download.size = descriptor.size;
  download.digest_follows = true;
  download.max_cuts = client_->http_options().max_attempts;
  download.backoff_base = client_->http_options().backoff_base;
  download.cancel = client_->http_options().cancel;
  std::unique_ptr<HttpResponse> response = download.send(download.request);
  if (response->status() != 200) throw_status(*response, "get " + label);
  return std::make_unique<VerifiedBlob>(resume_download(std::move(download), std::move(response)),
                                        descriptor.digest, descriptor.size, label);
}

}  // namespace bundle::transfer
