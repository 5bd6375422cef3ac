// One blob into a repository of an OCI registry that lacks it: mounted when the registry has it
// elsewhere, else sent in chunks that go on where a cut has left them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "crypto/digest.h"
#include "io/file_system.h"
#include "transfer/rate_limit.h"
#include "transfer/registry_repository.h"

namespace bundle::transfer {

struct UploadOptions {
  // A larger blob goes in several requests: proxies limit the length of one. A registry that wants
  // longer ones (OCI-Chunk-Min-Length) gets them.
  std::uint64_t chunk_bytes = 64 << 20;
  RateLimit* limit = nullptr;  // may be null; outlives the call
  // Told how many bytes of the blob the registry has, never less than before. May be empty.
  std::function<void(std::uint64_t)> on_progress;
};

enum class Delivery : std::uint8_t { present, mounted, uploaded };

// `blob` is the sound content of `digest`; the registry compares. `mount_from` is a repository of
// the same registry that has the blob, or empty. Cuts, stalls and 5xx are survived as long as
// something arrives between HttpOptions::max_attempts of them. Kill it at any moment: the registry
// drops unfinished uploads by itself. Memory: one send buffer.
// Throws what RegistryClient::send and throw_status do.
Delivery upload_blob(const Repository& repository, const Digest& digest, const ReadableFile& blob,
                     const std::string& mount_from, const UploadOptions& options);

}  // namespace bundle::transfer
