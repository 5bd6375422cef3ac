// One repository of an OCI registry: the requests of the distribution-spec, pull and push.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "oci/content.h"
#include "oci/reference.h"
#include "transfer/registry_client.h"

namespace bundle::transfer {

// Pages of a referrers answer that are followed.
inline constexpr int kMaxReferrerPages = 64;

// Thread-safe. Memory: one document a call. All throw what RegistryClient::send and throw_status
// do.
class Repository {
 public:
  Repository(std::shared_ptr<RegistryClient> client, oci::ImageName name)
      : client_(std::move(client)), name_(std::move(name)) {}

  const oci::ImageName& image() const { return name_; }
  RegistryClient& client() const { return *client_; }

  // A manifest or index by tag or digest. With `expected` the bytes must be exactly these.
  std::optional<oci::Document> get_document(const std::string& manifest,
                                            const oci::Descriptor* expected) const;
  // What a HEAD tells; a document is read when it does not tell enough.
  std::optional<oci::Descriptor> head(const std::string& tag) const;
  // Nothing when the registry has no referrers API.
  std::optional<std::vector<oci::Descriptor>> api_referrers(const Digest& digest) const;
  bool has_blob(const Digest& digest) const;
  // By tag or digest; the registry has all that the document names. True when the registry keeps
  // its referrers by itself (it says so for a document with a subject).
  bool put_document(const std::string& manifest, const oci::Document& document) const;
  // Hashed while it is streamed; a cut one is resumed.
  std::unique_ptr<Source> open_blob(const oci::Descriptor& descriptor) const;

 private:
  HttpRequest manifest_request(const std::string& manifest, std::string_view extra_type) const;
  std::optional<std::string> next_page(const HttpResponse& response) const;
  std::string what(const std::string& part) const {
    return part + " of " + name_.repository_text();
  }

  std::shared_ptr<RegistryClient> client_;
  oci::ImageName name_;
};

}  // namespace bundle::transfer
