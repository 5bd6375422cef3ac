#include "transfer/registry_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "oci/document.h"
#include "oci/layout.h"
#include "transfer/http_download.h"
#include "transfer/http_error.h"

namespace bundle::transfer {
namespace {

using oci::Descriptor;
using oci::Document;
using oci::ImageName;

constexpr std::string_view kTagAnnotation = "org.opencontainers.image.ref.name";
constexpr std::string_view kCosignSuffixes[] = {".sig", ".att", ".sbom"};

ImageName parse_reference(std::string_view reference) {
  if (!reference.starts_with(kRegistryScheme)) {
    throw Error(ErrorCode::usage, fmt::format("'{}' is no image in a registry", reference),
                "Write docker://registry.example.com/app/web:1.0.0.");
  }
  return ImageName::parse_short(reference.substr(kRegistryScheme.size()));
}

// What decides which manifest is meant: the digest when there is one.
std::string manifest_name(const ImageName& name) {
  return name.digest ? name.digest->text() : name.tag;
}

bool is_document_type(std::string_view type) {
  return oci::is_index_type(type) || oci::is_manifest_type(type);
}

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

// One repository: the requests of the distribution-spec's pull part.
class Repository {
 public:
  Repository(std::shared_ptr<RegistryClient> client, ImageName name)
      : client_(std::move(client)), name_(std::move(name)) {}

  const ImageName& image() const { return name_; }

  // A manifest or index by tag or digest. With `expected` the bytes must be exactly these.
  std::optional<Document> get_document(const std::string& manifest,
                                       const Descriptor* expected) const;
  // What a HEAD tells; a document is read when it does not tell enough.
  std::optional<Descriptor> head(const std::string& tag) const;
  // Nothing when the registry has no referrers API.
  std::optional<std::vector<Descriptor>> api_referrers(const Digest& digest) const;
  std::unique_ptr<Source> open_blob(const Descriptor& descriptor) const;

 private:
  HttpRequest manifest_request(const std::string& manifest, std::string_view extra_type) const;
  std::optional<std::string> next_page(const HttpResponse& response) const;
  std::string what(const std::string& part) const {
    return part + " of " + name_.repository_text();
  }

  std::shared_ptr<RegistryClient> client_;
  ImageName name_;
};

HttpRequest Repository::manifest_request(const std::string& manifest,
                                         std::string_view extra_type) const {
  HttpRequest request;
  request.url = client_->url(name_, "manifests/" + manifest);
  request.max_response_bytes = oci::kMaxDocumentBytes;
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

class RegistrySource final : public oci::ContentSource {
 public:
  RegistrySource(Repository repository, Document root)
      : repository_(std::move(repository)), root_(std::move(root)) {}

  Document root() override { return root_; }

  std::optional<Document> document(const Descriptor& descriptor) override {
    if (descriptor.size > oci::kMaxDocumentBytes) {
      throw Error(
          ErrorCode::limit,
          fmt::format("manifest {} of {} has {} bytes, more than {}", descriptor.digest.text(),
                      name(), descriptor.size, oci::kMaxDocumentBytes),
          "Such a manifest is of no use to any registry; build the image again.");
    }
    if (descriptor.digest == root_.descriptor.digest) {
      oci::check_bytes(descriptor, root_.bytes, name());
      return Document{descriptor, root_.bytes};
    }
    return repository_.get_document(descriptor.digest.text(), &descriptor);
  }

  std::unique_ptr<Source> open_blob(const Descriptor& descriptor) override {
    return repository_.open_blob(descriptor);
  }

  std::vector<Descriptor> referrers(const Digest& digest) override;

  std::string name() const override {
    return std::string(kRegistryScheme) + repository_.image().text();
  }

 private:
  std::vector<Descriptor> fallback_referrers(const Digest& digest) const;

  Repository repository_;
  Document root_;
};

std::vector<Descriptor> RegistrySource::fallback_referrers(const Digest& digest) const {
  const std::string tag = oci::digest_tag(digest);
  const std::optional<Document> document = repository_.get_document(tag, nullptr);
  // Somebody may have given such a tag to an ordinary image.
  if (!document || !oci::is_index_type(document->descriptor.media_type)) return {};
  return oci::parse_index(*document).manifests;
}

std::vector<Descriptor> RegistrySource::referrers(const Digest& digest) {
  std::vector<Descriptor> all;
  for (const std::string_view suffix : kCosignSuffixes) {
    const std::string tag = oci::digest_tag(digest, suffix);
    if (std::optional<Descriptor> found = repository_.head(tag)) {
      found->annotations.insert_or_assign(std::string(kTagAnnotation), tag);
      all.push_back(std::move(*found));
    }
  }
  std::optional<std::vector<Descriptor>> listed = repository_.api_referrers(digest);
  if (!listed) listed = fallback_referrers(digest);
  for (Descriptor& descriptor : *listed) {
    if (std::ranges::find(all, descriptor.digest, &Descriptor::digest) == all.end()) {
      all.push_back(std::move(descriptor));
    }
  }
  return all;
}

}  // namespace

std::shared_ptr<oci::ContentSource> open_registry_source(std::shared_ptr<RegistryClient> client,
                                                         const std::string& reference) {
  const ImageName name = parse_reference(reference);
  Repository repository(std::move(client), name);
  std::optional<Document> root = repository.get_document(manifest_name(name), nullptr);
  if (!root) {
    throw Error(ErrorCode::not_found, fmt::format("{} does not exist", reference),
                "Check the repository, the tag and the digest; a tag may have been removed.");
  }
  // Refuses at once what later steps could not use, with the reference in the message.
  const Descriptor& descriptor = root->descriptor;
  if (oci::is_index_type(descriptor.media_type)) {
    oci::parse_index(root->bytes, descriptor.media_type, reference);
  } else {
    oci::parse_manifest(root->bytes, descriptor.media_type, reference);
  }
  return std::make_shared<RegistrySource>(std::move(repository), std::move(*root));
}

std::optional<Digest> resolve_registry_tag(RegistryClient& client, const std::string& reference) {
  const ImageName name = parse_reference(reference);
  if (name.digest) return name.digest;
  // A reference that outlives this call is not needed: nothing is kept.
  const std::shared_ptr<RegistryClient> borrowed(std::shared_ptr<void>(), &client);
  const std::optional<Descriptor> found = Repository(borrowed, name).head(name.tag);
  if (!found) return std::nullopt;
  return found->digest;
}

oci::SourceOpener make_source_opener(FileSystem& fs, const Path& base_dir,
                                     RegistryOptions options) {
  struct Shared {
    std::mutex mutex;
    std::shared_ptr<RegistryClient> client;
  };
  auto shared = std::make_shared<Shared>();
  return [&fs, base_dir, options = std::move(options), shared](const std::string& reference) {
    if (!reference.starts_with(kRegistryScheme)) {
      return oci::open_local_source(fs, reference, base_dir);
    }
    // Made when first needed: a broken credential file is no matter without a registry.
    {
      const std::lock_guard lock(shared->mutex);
      if (!shared->client) shared->client = std::make_shared<RegistryClient>(fs, options);
    }
    return open_registry_source(shared->client, reference);
  };
}

}  // namespace bundle::transfer
