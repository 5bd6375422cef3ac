// Every limit on what comes over the wire, in one place.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bundle::registry {

// Longest request target. A name (255) + a digest (71) + a continuation token fit many times.
inline constexpr std::size_t kMaxTargetBytes = 4096;
// Request line and all headers of one request; also what one idle connection may cost. Bearer
// tokens of a few KiB fit.
inline constexpr std::size_t kMaxHeaderBytes = 16 * 1024;
// distribution-spec: `<host>/<name>` of at most 255 characters.
inline constexpr std::size_t kMaxNameBytes = 255;
// Sum of all documents of one catalog. They are held in memory: serve stays below 256 MiB.
inline constexpr std::uint64_t kMaxCatalogBytes = 64 * 1024 * 1024;
// Index in index in index ... ; real images have one level.
inline constexpr int kMaxIndexDepth = 8;
// Tags in one answer when the client names no number.
inline constexpr std::size_t kMaxTagsPerPage = 1000;
// Repository and tag rows that the status page shows.
inline constexpr std::size_t kMaxStatusRows = 2000;
// An access file, and each of the files of users and tokens that it names.
inline constexpr std::uint64_t kMaxAccessFileBytes = 1024 * 1024;
inline constexpr std::size_t kMaxAccessRules = 1000;
inline constexpr std::size_t kMaxUserName = 128;
inline constexpr std::size_t kMaxTokenBytes = 1024;
// Requests that wait until a password was hashed; more are told to come back (429).
inline constexpr int kMaxWaitingPasswords = 64;
// PEM files of certificates and keys; chains have some KiB.
inline constexpr std::uint64_t kMaxPemBytes = 1024 * 1024;

// Pushing. Uploads at a time: each has a file open.
inline constexpr std::size_t kMaxUploads = 256;
// All manifests of pushed repositories together. They are held in memory, too.
inline constexpr std::uint64_t kMaxPushedDocumentBytes = 32 * 1024 * 1024;
// So much of a body is read and thrown away to keep the connection when a push is refused.
inline constexpr std::uint64_t kMaxDiscardedBytes = 8 * 1024 * 1024;

}  // namespace bundle::registry
