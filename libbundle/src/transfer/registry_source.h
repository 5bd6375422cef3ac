// Images in registries as content sources.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/file_system.h"
#include "oci/content.h"
#include "transfer/registry_client.h"

namespace bundle::transfer {

inline constexpr std::string_view kRegistryScheme = "docker://";

// "docker://host[:port]/repository:tag[@sha256:...]". Gets the manifest at once, by one request;
// later calls for it are answered from memory. Every document is hashed before it is parsed, every
// blob while it is streamed; a cut blob is resumed. Layers with foreign urls are asked from the
// registry only. Thread-safe; each open blob has its own connection.
// Throws Error{usage|not_found|oci_invalid|blob_mismatch|limit|network|http_status|auth_failed|
// tls_failed|timeout}. Peak memory: one document per call, one receive buffer per open blob.
std::shared_ptr<oci::ContentSource> open_registry_source(std::shared_ptr<RegistryClient> client,
                                                         const std::string& reference);

// The digest that a tag has now, by one HEAD request (which does not count as a pull where pulls
// are counted). Nothing when the tag does not exist. Falls back to reading the manifest when the
// registry does not tell. For "is there anything new".
std::optional<Digest> resolve_registry_tag(RegistryClient& client, const std::string& reference);

// Opens "docker://..." here and everything else by oci::open_local_source, relative to `base_dir`.
// One client (connections, tokens) for all. The opener keeps using `fs`.
oci::SourceOpener make_source_opener(FileSystem& fs, const Path& base_dir, RegistryOptions options);

}  // namespace bundle::transfer
