// Everything that is reachable from a root document: what a release has to carry of one image.
#pragma once

#include <string>
#include <vector>

#include "oci/content.h"

namespace bundle::oci {

inline constexpr std::size_t kMaxIndexDepth = 4;  // indexes in indexes; the field uses 1, rarely 2
// A signature of an SBOM of an image has depth 2. Deeper ones than this are not looked for.
inline constexpr std::size_t kMaxReferrerDepth = 3;
// Documents of one image with all platforms, attestations and signatures; the largest in the field
// have some hundreds.
inline constexpr std::size_t kMaxClosureDocuments = 4096;
inline constexpr std::uint64_t kMaxClosureDocumentBytes = 64 * 1024 * 1024;
inline constexpr std::size_t kMaxClosureBlobs = 65'536;

struct WalkOptions {
  // Children of indexes to follow; empty means all. Index bytes are kept verbatim either way.
  std::vector<Platform> wanted;
  // Carry referrers (subject) and cosign's tags .sig, .att, .sbom.
  bool referrers = true;
  // Children of indexes that the source does not hold are skipped instead of an error: it has of
  // each image what somebody else has chosen.
  bool sparse = false;
};

// A document that hangs on another one.
struct ReferrerRoot {
  Descriptor descriptor;
  Digest subject;   // the document of this closure that it speaks about
  std::string tag;  // "sha256-<hex>.sig" when cosign's tag named it; empty when its subject did
  bool operator==(const ReferrerRoot&) const = default;
};

// The parts of one image or artifact. Every list is free of duplicates by digest and in an order
// that depends only on content, so that the same input gives the same bundle.
struct Closure {
  Document root;
  // Root first, then children in the order of their index, each followed by its own children; then
  // referrers by digest.
  std::vector<Document> documents;
  // Configs and layers, in the order in which the documents name them. All must be readable,
  // except that nothing was opened yet.
  std::vector<Descriptor> blobs;
  // What hangs on a document by `subject` or by cosign's tag (not what an index lists). Ordered by
  // subject's place in `documents`, then digest, then tag. All of them are in `documents` too.
  std::vector<ReferrerRoot> referrer_roots;
  // Children of indexes that were not asked for, and attestations that the source does not hold:
  // the index is sparse.
  std::vector<Descriptor> skipped;
  // Non-distributable layers that the source does not hold. Not in `blobs`.
  std::vector<Descriptor> absent;
};

// True for an entry of an index that is no image: BuildKit's attestation of another entry.
bool is_attestation(const Descriptor& entry);

// Throws Error{not_found} when a wanted platform or a chosen child is missing (naming the platforms
// that exist), Error{oci_invalid|blob_mismatch|limit}, and what the source throws.
// Peak memory: the documents (kMaxClosureDocumentBytes).
Closure walk(ContentSource& source, const WalkOptions& options = {});

}  // namespace bundle::oci
