// From volumes to verified knowledge: what a bundle holds, once its signatures are accepted.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "format/blob_list.h"
#include "format/document_pack.h"
#include "format/index.h"
#include "trust/trust_root.h"
#include "unpack/volume_set.h"

namespace bundle::unpack {

// What the head of a bundle says, all of it verified by signature or by a signed digest.
// Immutable; thread-safe.
struct VerifiedHead {
  trust::VerifiedRelease release;
  std::optional<trust::VerifiedCarrier> carrier;  // nothing: plain blobs, and the index is empty
  std::string manifest;                           // manifest.json
  std::string blob_list;                          // blobs.list
  std::vector<format::BlobEntry> blobs;           // of the whole release, sorted by digest
  format::Index index;
  std::vector<trust::SignatureFile> release_signatures;

  // Of a delta: what it builds on.
  std::span<const trust::CarrierBase> bases() const {
    if (!carrier) return {};
    return (*carrier)->bases;
  }
};

// A document of the head ("index", "statement.json"), unverified. Throws Error{volume_corrupt}.
const std::string& head_document(const VolumeSet& volumes, std::string_view name);

// manifest.json and blobs.list, in whichever form the head has them, unverified. Throws
// Error{volume_corrupt} and what parse_statement, parse_carrier and unpack_documents throw.
format::ReleaseDocuments release_documents(const VolumeSet& volumes);

// The trust roots that travel with a bundle, for following a rotation chain.
std::vector<trust::RootFile> carried_roots(const VolumeSet& volumes);

// Everything that travels in the tails and beside the volumes.
std::vector<trust::SignatureFile> carried_files(const VolumeSet& volumes);

// Checks signatures, then digests, then parses; nothing is parsed before it is verified.
// Throws what TrustRoot::verify_release and verify_carrier throw, {statement_mismatch} when the
// volumes name another bundle than the signed carrier, {manifest_mismatch, index_corrupt,
// index_invalid, statement_invalid, unsupported}.
VerifiedHead verify_head(const VolumeSet& volumes, const trust::TrustRoot& root,
                         std::optional<UnixTime> now);

// `blob` in the release's list; nothing when it is not there.
const format::BlobEntry* find_blob(const std::vector<format::BlobEntry>& blobs, const Digest& blob);

}  // namespace bundle::unpack
