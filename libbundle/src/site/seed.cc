#include "bundle/seed.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/time.h"
#include "bundle/error.h"
#include "crypto/certificate.h"
#include "crypto/ecdsa.h"
#include "flux/site_seed.h"
#include "flux/state_files.h"
#include "oci/document.h"
#include "oci/layout_files.h"
#include "release/naming.h"
#include "site/git_tree.h"
#include "source/site_release.h"

namespace bundle {
namespace {

constexpr std::uint64_t kMaxPemText = 64 * 1024;

std::string choose_version(const store::SiteStore& store, const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  if (const auto active = store.active_version()) return *active;
  throw Error(ErrorCode::release_unknown, "no release is active at this site",
              "Name the release: bundle-import seed VERSION ... 'bundle-import list' shows them.");
}

std::unique_ptr<Source> open_verified(const store::SiteStore& store, const Digest& digest,
                                      std::uint64_t size) {
  std::shared_ptr<const ReadableFile> file = store.open_blob(digest);
  return oci::verified_source({std::move(file), 0, size}, digest, size,
                              store.blob_path(digest).string());
}

// The files of the release's Flux artifact; every byte was compared with its digest.
oci::TextTree read_state(const store::SiteStore& store, const release::Artifact& artifact) {
  const auto document = open_verified(store, artifact.descriptor.digest, artifact.descriptor.size);
  const Bytes bytes = read_all(*document, oci::kMaxDocumentBytes, artifact.name);
  const oci::Manifest manifest =
      oci::parse_manifest(bytes, artifact.descriptor.media_type, artifact.name);
  if (manifest.layers.size() != 1) {
    throw Error(ErrorCode::oci_invalid,
                fmt::format("{} has {} layers; desired state has one", artifact.name,
                            manifest.layers.size()),
                "The release was made by another tool. Ask its vendor.");
  }
  const oci::Descriptor& layer = manifest.layers.front();
  const auto packed = open_verified(store, layer.digest, layer.size);
  // Nothing is looked at before all of it has matched its digest.
  const Bytes content = read_all(*packed, oci::kMaxTreeBytes, artifact.name);
  MemorySource source(content);
  return oci::read_tar_gz_tree(source, artifact.name);
}

std::string read_public_pem(FileSystem& fs, const Path& file) {
  if (file.empty()) return "";
  std::string text = read_text_file(fs, file, kMaxPemText);
  if (text.find("PRIVATE KEY") == std::string::npos) return text;
  throw Error(ErrorCode::key_invalid, file.string() + " holds a private key",
              "Give the public part alone: what the seed holds, the whole cluster may read.");
}

release::SiteConfig read_site(FileSystem& fs, const Path& file) {
  return release::parse_site_config(read_text_file(fs, file, release::kMaxSiteConfigBytes),
                                    file.string());
}

std::vector<std::string> notes_for(const SeedOptions& options, const release::Manifest& manifest,
                                   const release::SiteConfig& site) {
  std::vector<std::string> notes;
  if (!manifest.flux->installs_flux) {
    notes.push_back("The release does not bring Flux: it must run in the cluster already.");
  }
  if (site.source.login || (site.source.ca && options.ca_file.empty()) ||
      (site.source.verify && options.cosign_key.empty())) {
    notes.push_back("Fill in secrets.yaml.template and apply it: Flux waits for these secrets.");
  }
  if (!site.source.verify) {
    notes.push_back("Flux will check no signatures: site.yaml says 'verify: false'.");
  }
  if (site.source.tag != release::kActiveTag && !site.maintenance_windows.empty()) {
    notes.push_back(fmt::format(
        "Flux follows the tag {} at any time of the week: maintenance windows hold only for what "
        "bundle-import activates (the tag {}).",
        site.source.tag, release::kActiveTag));
  }
  return notes;
}

// Only files that a seed consists of are ever replaced or removed.
void write_files(FileSystem& fs, const Path& folder, const oci::TextTree& seed) {
  const Path manifests = folder / "manifests";
  if (fs.status(manifests)) {
    for (const std::string& name : fs.list(manifests)) {
      if (name.starts_with("bundle-") && !seed.contains("manifests/" + name)) {
        fs.remove(manifests / name);
      }
    }
  }
  for (const auto& [path, text] : seed) {
    const Path file = folder / path;
    fs.create_directories(file.parent_path());
    write_file_atomically(fs, file, as_bytes(text));
  }
}

}  // namespace

SeedReport write_seed(const SeedOptions& options, const Cancel& cancel) {
  const auto store = source::open_store(options.store);
  FileSystem& fs = store->fs();
  const std::string version = choose_version(*store, options.version);
  const trust::TrustState trust(fs, store->trust_dir());
  source::verify_documents(*store, source::verify_release(*store, trust, version));
  const release::Manifest manifest = source::read_manifest(*store, version);
  const release::SiteConfig site =
      read_site(fs, options.site.empty() ? store->root() / "site.yaml" : options.site);

  oci::TextTree state;
  if (manifest.flux) state = read_state(*store, manifest.flux->artifact);
  flux::SeedRequest request{manifest, state, site, !options.git.empty(), "", ""};
  request.ca_pem = read_public_pem(fs, options.ca_file);
  if (!request.ca_pem.empty()) read_certificate(request.ca_pem, options.ca_file.string());
  request.cosign_pem = read_public_pem(fs, options.cosign_key);
  if (!request.cosign_pem.empty()) {
    EcdsaPublicKey::parse_pem(request.cosign_pem, options.cosign_key.string());
  }
  const oci::TextTree seed = flux::render_seed(request);

  SeedReport report;
  report.product = manifest.product;
  report.version = version;
  report.profile = flux::seed_profile(manifest, site);
  report.digest = manifest.flux->artifact.descriptor.digest.text();
  report.notes = notes_for(options, manifest, site);
  for (const auto& [path, text] : seed) report.files.push_back(path);
  if (options.dry_run) return report;
  if (!options.git.empty()) {
    const site::GitCommit commit{fmt::format("{} {}", manifest.product, version), manifest.created,
                                 site.source.git_branch};
    report.commit = site::commit_tree(fs, options.git, state, commit, cancel);
  }
  write_files(fs, options.out, seed);
  return report;
}

}  // namespace bundle
