#include "unpack/bundle_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "trust/carrier.h"
#include "trust/statement.h"

namespace bundle::unpack {
namespace {

constexpr std::string_view kAgainHint =
    "The bundle is damaged or was altered: copy it again from the original.";

std::vector<trust::SignatureFile> tail_files(const VolumeSet& volumes, std::string_view prefix,
                                             std::string_view suffix) {
  std::vector<trust::SignatureFile> found;
  for (const format::NamedFile& file : volumes.tail) {
    if (file.name.starts_with(prefix) && file.name.ends_with(suffix)) {
      found.push_back({file.name, file.content});
    }
  }
  return found;
}

std::vector<trust::SignatureFile> signatures_of(const VolumeSet& volumes, std::string_view prefix) {
  return tail_files(volumes, prefix, ".minisig");
}

void check_digest(std::string_view content, const Digest& digest, std::uint64_t size,
                  std::string_view name, ErrorCode code) {
  if (content.size() == size && sha256(as_bytes(content)) == digest) return;
  throw Error(code, fmt::format("{} does not match its signed digest", name),
              std::string(kAgainHint));
}

// A full bundle indexes exactly the release's blobs; with bases it may index fewer, never others.
void check_blobs(const VerifiedHead& head) {
  for (const format::IndexedBlob& blob : head.index.blobs) {
    if (find_blob(head.blobs, blob.digest) == nullptr) {
      throw Error(
          ErrorCode::index_invalid,
          fmt::format("the index has blob {}, which the release does not list", blob.digest.text()),
          std::string(kAgainHint));
    }
  }
  if (head.bases().empty() && head.index.blobs.size() != head.blobs.size()) {
    throw Error(ErrorCode::index_invalid,
                fmt::format("the index has {} of the release's {} blobs", head.index.blobs.size(),
                            head.blobs.size()),
                std::string(kAgainHint));
  }
}

// A delta that reads base blobs names them in bases.list, whose digest the carrier signs.
std::vector<format::BlobEntry> read_base_list(const VolumeSet& volumes,
                                              const trust::Carrier& carrier) {
  if (carrier.base_list_size == 0) return {};
  const std::string& list = head_document(volumes, "bases.list");
  check_digest(list, carrier.base_list_digest, carrier.base_list_size, "bases.list",
               ErrorCode::statement_mismatch);
  return format::decode_base_list(list, "bases.list");
}

// Manifest and blob list as the statement signs them: a short form is checked against the carrier
// (null: there is none) before it is inflated, what comes of it against the statement.
format::ReleaseDocuments read_documents(const VolumeSet& volumes, const trust::Statement& release,
                                        const trust::Carrier* carrier) {
  format::ReleaseDocuments documents;
  if (carrier != nullptr && carrier->documents_size > 0) {
    const std::string& packed = head_document(volumes, "documents");
    check_digest(packed, carrier->documents_digest, carrier->documents_size, "documents",
                 ErrorCode::statement_mismatch);
    documents =
        format::unpack_documents(as_bytes(packed), release.manifest_size, release.blob_count);
  } else {
    documents = {head_document(volumes, "manifest.json"), head_document(volumes, "blobs.list")};
  }
  check_digest(documents.manifest, release.manifest_digest, release.manifest_size, "manifest.json",
               ErrorCode::manifest_mismatch);
  check_digest(documents.blob_list, release.blob_list_digest, release.blob_list_size, "blobs.list",
               ErrorCode::statement_mismatch);
  return documents;
}

void check_blob_list(const VerifiedHead& head) {
  std::uint64_t bytes = 0;
  for (const format::BlobEntry& blob : head.blobs) bytes += blob.size;
  if (head.blobs.size() != head.release->blob_count || bytes != head.release->blob_bytes) {
    throw Error(ErrorCode::statement_invalid,
                "blobs.list does not add up to what the statement says", std::string(kAgainHint));
  }
}

}  // namespace

const std::string& head_document(const VolumeSet& volumes, std::string_view name) {
  const format::NamedFile* file = format::find_file(volumes.head, name);
  if (file == nullptr) {
    const std::string where = volumes.is_plain()
                                  ? "the release"
                                  : volumes.volumes.front().file->path().string() + ": the head";
    throw Error(ErrorCode::volume_corrupt, fmt::format("{} has no {}", where, name),
                std::string(kAgainHint));
  }
  return file->content;
}

format::ReleaseDocuments release_documents(const VolumeSet& volumes) {
  const trust::Carrier carrier =
      trust::parse_carrier(head_document(volumes, "carrier.json"), "carrier.json");
  if (carrier.documents_size == 0)
    return {head_document(volumes, "manifest.json"), head_document(volumes, "blobs.list")};
  const trust::Statement statement =
      trust::parse_statement(head_document(volumes, "statement.json"), "statement.json");
  return format::unpack_documents(as_bytes(head_document(volumes, "documents")),
                                  statement.manifest_size, statement.blob_count);
}

std::vector<trust::RootFile> carried_roots(const VolumeSet& volumes) {
  return tail_files(volumes, "", ".root.json");
}

std::vector<trust::SignatureFile> carried_files(const VolumeSet& volumes) {
  return tail_files(volumes, "", "");
}

namespace {

// What every carrier has: the signed release and its documents.
VerifiedHead verify_documents(const VolumeSet& volumes, const trust::TrustRoot& root,
                              std::optional<UnixTime> now) {
  auto signatures = signatures_of(volumes, "statement.");
  auto release = root.verify_release(head_document(volumes, "statement.json"), signatures, now);
  std::optional<trust::VerifiedCarrier> carrier;
  if (!volumes.is_plain()) {
    const std::string& carrier_json = head_document(volumes, "carrier.json");
    carrier = root.verify_carrier(carrier_json, signatures_of(volumes, "carrier."), release, now);
    if (trust::bundle_id(carrier_json) != volumes.bundle_id) {
      throw Error(ErrorCode::statement_mismatch,
                  "the volumes carry another bundle's number than the signed carrier.json",
                  std::string(kAgainHint));
    }
  }
  auto documents = read_documents(volumes, *release, carrier ? &**carrier : nullptr);
  return {std::move(release),
          std::move(carrier),
          std::move(documents.manifest),
          documents.blob_list,
          format::decode_blob_list(documents.blob_list, "blobs.list"),
          {},
          std::move(signatures)};
}

void read_index(const VolumeSet& volumes, const trust::Carrier& carrier, VerifiedHead& head) {
  const std::string& index = head_document(volumes, "index");
  check_digest(index, carrier.index_digest, carrier.index_size, "index", ErrorCode::index_corrupt);
  head.index = format::decode_index(as_bytes(index));
  head.index.base_blobs = read_base_list(volumes, carrier);
  check_blobs(head);
  if (head.index.pack_size() != carrier.pack_size ||
      head.index.leaf_hashes.size() != carrier.leaf_count) {
    throw Error(ErrorCode::index_invalid, "the index and carrier.json disagree about the packs",
                std::string(kAgainHint));
  }
}

}  // namespace

VerifiedHead verify_head(const VolumeSet& volumes, const trust::TrustRoot& root,
                         std::optional<UnixTime> now) {
  VerifiedHead head = verify_documents(volumes, root, now);
  check_blob_list(head);
  if (head.carrier) read_index(volumes, **head.carrier, head);
  return head;
}

const format::BlobEntry* find_blob(const std::vector<format::BlobEntry>& blobs,
                                   const Digest& blob) {
  const auto found = std::ranges::lower_bound(blobs, blob, {}, &format::BlobEntry::digest);
  return found != blobs.end() && found->digest == blob ? &*found : nullptr;
}

}  // namespace bundle::unpack
