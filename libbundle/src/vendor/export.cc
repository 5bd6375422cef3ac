#include <fmt/format.h>

#include <chrono>
#include <set>

#include "bundle/error.h"
#include "bundle/make.h"
#include "crypto/signer.h"
#include "format/limits.h"
#include "oci/walk.h"
#include "pack/bundle_signing.h"
#include "pack/make_release.h"
#include "source/report.h"
#include "source/site_release.h"
#include "store/release_source.h"
#include "trust/carrier.h"
#include "trust/news.h"
#include "trust/root_metadata.h"
#include "vendor/vendor_files.h"

namespace bundle {
namespace {

using spec::BlobInput;

// The release's blobs in the order in which `make` packs them, so that alike ones are neighbours:
// documents, then artifact by artifact what they name. What no document names comes last.
class ReleaseBlobs {
 public:
  ReleaseBlobs(std::shared_ptr<store::SiteStore> store, const std::string& version)
      : store_(std::move(store)) {
    const auto entries = store_->release_blobs(version);
    auto carried = std::make_shared<std::set<Digest>>();
    for (const format::BlobEntry& blob : entries) carried->insert(blob.digest);
    left_ = *carried;
    const release::Manifest manifest = source::read_manifest(*store_, version);
    for (const release::Artifact* artifact : manifest.artifacts()) {
      const auto source = store::open_release_source(store_, carried, *artifact);
      const oci::Closure closure = oci::walk(*source, {artifact->platforms, true, true});
      for (const oci::Document& document : closure.documents) {
        add(documents_, document.descriptor, artifact->name);
      }
      for (const oci::Descriptor& blob : closure.blobs) add(blobs_, blob, artifact->name);
    }
    for (const format::BlobEntry& blob : entries) {
      oci::Descriptor unnamed;
      unnamed.digest = blob.digest;
      unnamed.size = blob.size;
      add(blobs_, unnamed, "a blob that no document names");
    }
  }

  std::vector<BlobInput> take() {
    std::move(blobs_.begin(), blobs_.end(), std::back_inserter(documents_));
    return std::move(documents_);
  }

 private:
  void add(std::vector<BlobInput>& group, const oci::Descriptor& blob, const std::string& origin) {
    if (left_.erase(blob.digest) == 0) return;
    group.push_back(
        {blob.digest, blob.size, blob.media_type, origin,
         [store = store_, digest = blob.digest] { return store::stream_blob(*store, digest); }});
  }

  std::shared_ptr<store::SiteStore> store_;
  std::set<Digest> left_;
  std::vector<BlobInput> documents_;
  std::vector<BlobInput> blobs_;
};

// The tail: the release's own signatures, and what the store follows.
format::FileList files_to_carry(const store::SiteStore& store, const trust::TrustState& state,
                                const trust::VerifiedRelease& release) {
  format::FileList files;
  const Path folder = store.release_dir(release->version);
  for (const std::string& name : store.fs().list(folder)) {
    if (!name.ends_with(".minisig")) continue;
    files.push_back({name, read_text_file(store.fs(), folder / name, format::kMaxDocumentBytes)});
  }
  for (trust::SignatureFile& file : source::site_trust_files(store, release->product)) {
    files.push_back({std::move(file.name), std::move(file.content)});
  }
  if (state.require_root().is_bare_key()) {
    const std::string& key = state.require_root().raw();
    files.push_back({MinisignPublicKey::parse(key, "root.pub").id.text() + ".pub", key});
  }
  return files;
}

Error wrong_key(const trust::VerifiedRelease& release, const std::string& key) {
  return {ErrorCode::wrong_key,
          fmt::format("{} may not sign carriers of {}", key, release->product),
          "Sign with a key that has the role 'carrier' in the store's root ('bundle-import trust "
          "show' names them), or leave --key away and have the folder signed by somebody who has."};
}

// Hours of packing are not to end at a key that no site takes. What a command signs with is known
// only when it has signed.
void check_key(const Signer& signer, const trust::TrustRoot& root,
               const trust::VerifiedRelease& release) {
  const auto key = signer.public_key();
  if (!key) return;
  const std::vector<std::string> ids = {trust::tuf_key_id(key->key)};
  if (root.count_signers(trust::role::kCarrier, ids, {}) == 0) {
    throw wrong_key(release, "key " + key->id.text());
  }
}

// Whether sites that trust what this store trusts take the bundle as it is; false: others have to
// sign, too.
bool is_enough(const trust::TrustRoot& root, const trust::VerifiedRelease& release,
               const std::string& carrier, const format::NamedFile& signature) {
  const std::vector<trust::SignatureFile> signatures = {{signature.name, signature.content}};
  try {
    root.verify_carrier(carrier, signatures, release, std::nullopt);
    return true;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::threshold_unmet) return false;
    if (error.code() == ErrorCode::wrong_key) throw wrong_key(release, "the command's key");
    throw;
  }
}

std::vector<std::string> statement_signatures(const format::FileList& files) {
  std::vector<std::string> names;
  for (const format::NamedFile& file : files) {
    if (trust::is_signature_of(file.name, "statement.json")) names.push_back(file.name);
  }
  return names;
}

}  // namespace

ExportReport export_release(const ExportOptions& options, Progress& progress,
                            const Cancel& cancel) {
  const auto start = std::chrono::steady_clock::now();
  const auto store = source::open_store(options.store);
  FileSystem& fs = store->fs();
  const trust::VerifiedRelease release = source::require_good_release(*store, options.version);
  const trust::TrustState state(fs, store->trust_dir());
  const trust::TrustRoot& root = state.require_root();
  std::unique_ptr<Signer> signer;
  if (!options.sign.empty()) {
    signer = vendor::open_signer(fs, options.sign);
    check_key(*signer, root, release);
  }

  pack::MakeJob job;
  job.out = options.out;
  job.profile = options.fast ? pack::PackProfile::fast(options.jobs)
                             : pack::PackProfile::release(options.level, options.jobs);
  job.volume_size = options.volume_size;
  job.roots = files_to_carry(*store, state, release);
  ExportReport report;
  report.dry_run = options.dry_run;
  report.product = release->product;
  report.version = release->version;
  report.release_number = release->release_number;
  report.blobs = release->blob_count;
  report.blob_bytes = release->blob_bytes;
  report.signatures = statement_signatures(job.roots);
  if (signer) {
    job.sign = [&](const std::string&, const std::string& carrier) {
      const format::NamedFile file = pack::sign_carrier(*signer, *release, carrier);
      report.carrier_signed = is_enough(root, release, carrier, file);
      report.signatures.push_back(file.name);
      return format::FileList{file};
    };
  }
  if (!options.dry_run) {
    const Path folder = store->release_dir(release->version);
    const pack::SignedRelease content{
        fmt::format("{}-{}", release->product, release->version), release.raw(),
        store->release_manifest(release->version),
        read_text_file(fs, folder / "blobs.list", format::kMaxBlobListBytes),
        ReleaseBlobs(store, release->version).take()};
    const pack::MadeRelease made = pack::pack_signed_release(fs, content, job, progress, cancel);
    report.volumes.assign(made.volumes.begin(), made.volumes.end());
    report.bundle_bytes = made.bundle_bytes;
  }
  report.seconds = source::seconds_since(start);
  return report;
}

}  // namespace bundle
