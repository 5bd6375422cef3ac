// Where OCI content comes from: the seam between layouts, archives, registries and their users.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/stream.h"
#include "oci/descriptor.h"

namespace bundle::oci {

// A manifest or index with its exact bytes. `bytes` hash to descriptor.digest.
struct Document {
  Descriptor descriptor;
  Bytes bytes;
};

// A repository's worth of content. Implementations verify: a document's bytes match its digest,
// and a blob stream that does not hash to its digest throws at its end.
// Thread-safe unless an implementation says otherwise.
class ContentSource {
 public:
  virtual ~ContentSource() = default;

  // The document that this source was opened for (a tag or digest given at opening).
  virtual Document root() = 0;
  // A manifest or index by digest. Nothing when absent; throws Error{oci_invalid|blob_mismatch}.
  virtual std::optional<Document> document(const Descriptor& descriptor) = 0;
  // Throws Error{not_found} when absent.
  virtual std::unique_ptr<Source> open_blob(const Descriptor& descriptor) = 0;
  // Manifests whose `subject` is `digest`, and what the cosign tags sha256-<hex>.sig, .att, .sbom
  // name. Tag documents carry the tag in annotation org.opencontainers.image.ref.name.
  virtual std::vector<Descriptor> referrers(const Digest& digest) = 0;
  // How a person would name this source ("oci:images:app/web:1.0.0").
  virtual std::string name() const = 0;
};

// Opens "oci:dir:tag", "oci-archive:...", "docker-archive:...", "docker://host/repo:tag".
// Bound by the caller, because network clients live in a higher room.
using SourceOpener = std::function<std::shared_ptr<ContentSource>(const std::string& reference)>;

}  // namespace bundle::oci
