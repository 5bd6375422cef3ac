#include "pack/make_release.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "format/blob_list.h"
#include "format/document_pack.h"
#include "pack/study_ahead.h"
#include "trust/carrier.h"
#include "trust/statement.h"

namespace bundle::pack {
namespace {

trust::Statement make_statement(const spec::ResolvedRelease& release, std::string_view manifest,
                                std::string_view blob_list) {
  trust::Statement statement;
  statement.product = release.manifest.product;
  statement.version = release.manifest.version;
  statement.release_number = release.manifest.release_number;
  statement.created = release.manifest.created;
  statement.expires = release.expires;
  statement.manifest_digest = sha256(as_bytes(manifest));
  statement.manifest_size = manifest.size();
  statement.blob_list_digest = sha256(as_bytes(blob_list));
  statement.blob_list_size = blob_list.size();
  statement.blob_count = release.blobs.size();
  for (const spec::BlobInput& blob : release.blobs) statement.blob_bytes += blob.size;
  return statement;
}

// Sorted, as the blob list has them.
std::vector<format::BlobEntry> entries_of(const spec::ResolvedRelease& release) {
  std::vector<format::BlobEntry> blobs;
  for (const spec::BlobInput& blob : release.blobs) blobs.push_back({blob.digest, blob.size});
  std::ranges::sort(blobs, {}, &format::BlobEntry::digest);
  return blobs;
}

// The files of the head. A delta may be smaller than its blob list: it has the short form.
format::FileList make_head(const MadeRelease& made, ByteView index, std::string_view manifest,
                           std::string_view blob_list, ByteView documents,
                           std::string_view base_list) {
  format::FileList head = {{"carrier.json", made.carrier},
                           {"index", std::string(as_text(index))},
                           {"statement.json", made.statement}};
  if (documents.empty()) {
    head.push_back({"blobs.list", std::string(blob_list)});
    head.push_back({"manifest.json", std::string(manifest)});
  } else {
    head.push_back({"documents", std::string(as_text(documents))});
  }
  if (!base_list.empty()) head.push_back({"bases.list", std::string(base_list)});
  return head;
}

trust::Carrier make_carrier(std::string_view statement, const format::Index& index,
                            ByteView encoded_index, const DeltaBase* base,
                            std::string_view base_list, ByteView documents) {
  trust::Carrier carrier;
  carrier.statement_digest = sha256(as_bytes(statement));
  carrier.index_digest = sha256(encoded_index);
  carrier.index_size = encoded_index.size();
  carrier.pack_size = index.pack_size();
  carrier.leaf_count = index.leaf_hashes.size();
  if (base != nullptr) carrier.bases = base->bases();
  if (!base_list.empty()) {
    carrier.base_list_digest = sha256(as_bytes(base_list));
    carrier.base_list_size = base_list.size();
  }
  if (!documents.empty()) {
    carrier.documents_digest = sha256(documents);
    carrier.documents_size = documents.size();
  }
  return carrier;
}

// SBOM and provenance are blobs like any other, but known only when the others were read: the
// release is complete, and its manifest final, when this returns. They say the same in a delta, so
// that the statement is the same: what a delta leaves out is read for them.
PackStats pack_blobs(spec::ResolvedRelease& release, const MakeJob& job, PackWriter& packs,
                     format::Index& index, Progress& progress, const Cancel& cancel) {
  std::uint64_t total = 0;
  for (const spec::BlobInput& blob : release.blobs) total += blob.size;
  const auto is_left_out = [&](const spec::BlobInput& blob) {
    return job.base != nullptr && job.base->has_blob({blob.digest, blob.size});
  };
  progress.phase("packing", total);
  BlobPacker packer(packs, index, job.base, job.attestor);
  packer.set_import_budget(job.profile.import_budget);
  std::vector<const spec::BlobInput*> to_pack;
  for (const spec::BlobInput& blob : release.blobs) {
    if (!is_left_out(blob)) to_pack.push_back(&blob);
  }
  StudyAhead studies(packer, std::move(to_pack), job.profile.jobs, cancel);
  std::uint64_t done = 0;
  for (const spec::BlobInput& blob : release.blobs) {
    if (is_left_out(blob)) {
      packer.look_into(blob, cancel);
    } else {
      packer.add(blob, studies.next(), cancel);
    }
    progress.advance(done += blob.size);
  }
  if (job.attestor != nullptr) {
    for (spec::BlobInput& blob : job.attestor->attest(release.manifest, release.blobs)) {
      if (!is_left_out(blob)) packer.add(blob, packer.study(blob, cancel), cancel);
      release.blobs.push_back(std::move(blob));
    }
  }
  packs.finish(index);
  packer.finish();
  return packer.stats();
}

// What a bundle is written from, once all its blobs are packed.
struct Documents {
  std::string name;  // of the volumes
  std::string manifest;
  std::string blob_list;
  Bytes short_form;  // of the two; empty: none
  std::string base_list;
};

// Index and carrier, their signatures, then the volumes. `made` has the statement.
void write_bundle(FileSystem& fs, const MakeJob& job, const Documents& documents,
                  const format::Index& index, PackWriter& packs, MadeRelease& made,
                  Progress& progress, const Cancel& cancel) {
  const Bytes encoded_index = format::encode_index(index);
  made.carrier = trust::encode_carrier(make_carrier(made.statement, index, encoded_index, job.base,
                                                    documents.base_list, documents.short_form));
  const auto head = [&](ByteView short_form) {
    return make_head(made, encoded_index, documents.manifest, documents.blob_list, short_form,
                     documents.base_list);
  };
  VolumeJob volumes;
  volumes.bundle_id = trust::bundle_id(made.carrier);
  volumes.name = documents.name;
  volumes.volume_size = job.volume_size;
  volumes.head = head(documents.short_form);
  volumes.tail = job.roots;
  if (job.sign) {
    for (auto& file : job.sign(made.statement, made.carrier))
      volumes.tail.push_back(std::move(file));
  }
  made.volumes = write_volumes(
      fs, job.out, volumes, index, *packs.leaves(),
      [&](std::uint32_t leaf) { packs.discard(leaf, index.leaf_place(leaf).size); }, progress,
      cancel);
  write_loose_files(fs, job.out, head({}), volumes.tail);
  made.pack_bytes = index.pack_size();
  for (const Path& path : made.volumes)
    made.bundle_bytes += fs.status(path).value_or(FileStatus{}).size;
}

}  // namespace

MadeRelease make_release(FileSystem& fs, spec::ResolvedRelease release, const MakeJob& job,
                         Progress& progress, const Cancel& cancel) {
  fs.create_directories(job.out);
  format::Index index;
  PackWriter packs(fs, job.out, job.profile,
                   [&](const format::Run& run, Sink& out) { job.base->read(run, out); });
  MadeRelease made;
  made.stats = pack_blobs(release, job, packs, index, progress, cancel);

  const std::vector<format::BlobEntry> blobs = entries_of(release);
  Documents documents;
  documents.name = fmt::format("{}-{}", release.manifest.product, release.manifest.version);
  documents.manifest = release::write_manifest(release.manifest);
  documents.blob_list = format::encode_blob_list(blobs);
  if (job.base != nullptr) {
    documents.short_form = format::pack_documents(documents.manifest, blobs);
    documents.base_list = format::encode_base_list(job.base->base_list());
  }
  made.statement =
      trust::encode_statement(make_statement(release, documents.manifest, documents.blob_list));
  write_bundle(fs, job, documents, index, packs, made, progress, cancel);
  made.blobs = release.blobs.size();
  made.omitted_blobs = release.blobs.size() - index.blobs.size();
  return made;
}

MadeRelease pack_signed_release(FileSystem& fs, const SignedRelease& release, const MakeJob& job,
                                Progress& progress, const Cancel& cancel) {
  fs.create_directories(job.out);
  format::Index index;
  PackWriter packs(fs, job.out, job.profile);
  MadeRelease made;
  spec::ResolvedRelease resolved;
  resolved.blobs = release.blobs;
  made.stats = pack_blobs(resolved, job, packs, index, progress, cancel);
  made.statement = release.statement;
  write_bundle(fs, job, {release.name, release.manifest, release.blob_list, {}, {}}, index, packs,
               made, progress, cancel);
  made.blobs = release.blobs.size();
  return made;
}

}  // namespace bundle::pack
