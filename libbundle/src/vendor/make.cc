#include "bundle/make.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "attest/provenance.h"
#include "attest/release_attestor.h"
#include "attest/signature_folder.h"
#include "base/time.h"
#include "bundle/error.h"
#include "crypto/signer.h"
#include "format/blob_list.h"
#include "format/limits.h"
#include "pack/bundle_signing.h"
#include "pack/make_release.h"
#include "source/report.h"
#include "spec/closure.h"
#include "spec/resolve.h"
#include "transfer/registry_source.h"
#include "trust/carrier.h"
#include "trust/statement.h"
#include "unpack/bundle_reader.h"
#include "unpack/volume_set.h"
#include "vendor/vendor_files.h"

namespace bundle {
namespace {

// The public key travels along, so that a site that knows its fingerprint can pin it.
void append_public_key(const Signer& signer, format::FileList& files) {
  const auto key = signer.public_key();
  if (key) files.push_back({key->id.text() + ".pub", key->text()});
}

format::FileList sign_all(FileSystem& fs, const SignWith& with, const std::string& statement,
                          const std::string& carrier) {
  const auto signer = vendor::open_signer(fs, with);
  format::FileList files = pack::sign_documents(*signer, statement, carrier);
  append_public_key(*signer, files);
  return files;
}

std::vector<std::string> signature_names(const format::FileList& files) {
  std::vector<std::string> names;
  for (const format::NamedFile& file : files) {
    if (file.name.ends_with(".minisig")) names.push_back(file.name);
  }
  return names;
}

format::FileList read_roots(FileSystem& fs, const std::vector<std::filesystem::path>& paths) {
  format::FileList roots;
  for (const auto& path : paths) {
    const std::string text = read_text_file(fs, path, format::kMaxTailBytes);
    const auto root = trust::TrustRoot::parse(text, path.string());
    roots.push_back({fmt::format("{}.root.json", root.version()), text});
  }
  return roots;
}

spec::ResolvedRelease resolve_spec(FileSystem& fs, const spec::ReleaseSpec& spec,
                                   const RegistryAccess& access, bool signatures) {
  transfer::RegistryOptions registry;
  if (!access.auth_file.empty()) registry.auth_file = access.auth_file;
  registry.insecure_registries = access.insecure;
  if (!access.ca_file.empty()) registry.http.tls = transfer::load_tls_files(fs, access.ca_file);
  spec::ResolveOptions resolve;
  resolve.open_source = transfer::make_source_opener(fs, spec.folder(), registry);
  resolve.created = build_time();
  resolve.signatures = signatures;
  return spec::resolve(fs, spec, resolve);
}

attest::BuildFacts build_facts(FileSystem& fs, const MakeOptions& options,
                               const spec::ReleaseSpec& spec) {
  attest::BuildFacts facts;
  facts.builder = options.builder.empty() ? attest::kDefaultBuilder : options.builder;
  facts.spec = sha256(read_file(fs, options.spec, spec::kMaxSpecBytes));
  for (const spec::ImageSpec& image : spec.images) facts.image_sources.push_back(image.source);
  if (!spec.os_packages.empty()) {
    const std::string text = read_text_file(fs, spec.os_packages, attest::kMaxPackageFileBytes);
    facts.os_packages = attest::parse_package_manifest(text);
    if (!facts.os_packages.problem.empty()) {
      throw Error(ErrorCode::spec_invalid,
                  fmt::format("{}: {}", spec.os_packages.string(), facts.os_packages.problem),
                  "os.packages names a list as 'dpkg-query -W' prints it, or a dpkg status file.");
    }
  }
  return facts;
}

std::vector<ClosureLine> closure_lines(const std::vector<spec::ClosureFinding>& findings) {
  std::vector<ClosureLine> lines;
  for (const spec::ClosureFinding& finding : findings) {
    lines.push_back({finding.place, finding.image, finding.problem, finding.reason});
  }
  return lines;
}

ClosureReport to_report(const spec::ClosureReport& closure) {
  return {closure.references, closure.rendered, closure.notes, closure_lines(closure.leaks),
          closure_lines(closure.excepted)};
}

spec::Renderers find_renderers(bool required) {
  spec::Renderers renderers = spec::Renderers::of_this_machine();
  if (required && (renderers.helm.empty() || renderers.kustomize.empty())) {
    throw Error(ErrorCode::not_found,
                fmt::format("{} is not on PATH", renderers.helm.empty() ? "helm" : "kustomize"),
                "Install it, or leave --require-render away: a built-in search takes its place.");
  }
  return renderers;
}

attest::ClusterSigner open_cluster_signer(FileSystem& fs, const CosignOptions& options) {
  const SignWith& with = options.sign;
  if (!with.command.empty()) {
    if (options.public_key.empty()) {
      throw Error(ErrorCode::usage, "a signing command needs --public-key, which checks its output",
                  "Export the public key of the HSM or KMS as PEM, and name that file.");
    }
    const std::string pem = read_text_file(fs, options.public_key, kMaxPemBytes);
    return attest::command_signer(with.command,
                                  EcdsaPublicKey::parse_pem(pem, options.public_key.string()));
  }
  const SecretBytes text = read_secret_file(fs, with.key, kMaxPemBytes);
  const SecretBytes password = vendor::read_password(fs, with.password_file, with.password_fd);
  return attest::key_signer(
      attest::open_cosign_key(text.view(), password.view(), with.key.string()));
}

std::string_view state_name(attest::SigningState state) {
  switch (state) {
    case attest::SigningState::made:
      return "signed";
    case attest::SigningState::kept:
      return "kept";
    case attest::SigningState::upstream:
      return "upstream";
  }
  return "";
}

}  // namespace

MakeReport make_bundle(const MakeOptions& options, Progress& progress, const Cancel& cancel) {
  const auto start = std::chrono::steady_clock::now();
  FileSystem& fs = posix_file_system();
  progress.phase("resolving", 0);
  spec::ReleaseSpec spec = spec::load_spec(fs, options.spec);
  release::check_stale_reason(options.stale_base);
  if (spec.base_policy) {
    spec.base_policy = release::accept_base(*spec.base_policy, build_time(), options.stale_base,
                                            options.spec.string());
  }
  spec::ResolvedRelease release = resolve_spec(fs, spec, options.registry, true);
  progress.phase("checking images", 0);
  const spec::ClosureReport closure =
      spec::check_closure(fs, spec, release, find_renderers(options.require_render), cancel);
  spec::require_closed(closure);
  attest::ReleaseAttestor attestor(build_facts(fs, options, spec));

  pack::MakeJob job;
  job.out = options.out;
  job.profile = options.fast ? pack::PackProfile::fast(options.jobs)
                             : pack::PackProfile::release(options.level, options.jobs);
  job.profile.import_budget = options.import_budget;
  job.volume_size = options.volume_size;
  job.roots = read_roots(fs, options.roots);
  job.attestor = &attestor;
  if (!options.trust_folder.empty()) {
    std::ranges::move(vendor::files_to_carry(fs, options.trust_folder),
                      std::back_inserter(job.roots));
  }
  pack::DeltaBase base;
  if (!options.bases.empty()) {
    for (const auto& path : options.bases) base.add(fs, path);
    base.scan(progress, cancel);
    job.base = &base;
  }
  MakeReport report;
  report.closure = to_report(closure);
  if (!options.sign.empty()) {
    job.sign = [&](const std::string& statement, const std::string& carrier) {
      const format::FileList files = sign_all(fs, options.sign, statement, carrier);
      report.signatures = signature_names(files);
      return files;
    };
  }
  report.product = release.manifest.product;
  report.version = release.manifest.version;
  report.release_number = release.manifest.release_number;
  const pack::MadeRelease made = pack::make_release(fs, std::move(release), job, progress, cancel);
  report.volumes.assign(made.volumes.begin(), made.volumes.end());
  report.bundle_bytes = made.bundle_bytes;
  report.blobs = made.blobs;
  report.blob_bytes = made.stats.blob_bytes;
  report.gzip_bytes = made.stats.gzip_bytes;
  report.replayed_bytes = made.stats.replayed_bytes;
  report.unique_bytes = made.stats.unique_bytes;
  for (const trust::CarrierBase& used : base.bases()) report.bases.push_back(used.name);
  report.omitted_blobs = made.omitted_blobs;
  report.base_bytes = made.stats.base_bytes;
  report.seconds = source::seconds_since(start);
  return report;
}

ClosureReport check_release_closure(const std::filesystem::path& spec, const RegistryAccess& access,
                                    Progress& progress, const Cancel& cancel) {
  FileSystem& fs = posix_file_system();
  progress.phase("resolving", 0);
  const spec::ReleaseSpec loaded = spec::load_spec(fs, spec);
  const spec::ResolvedRelease resolved = resolve_spec(fs, loaded, access, false);
  progress.phase("checking images", 0);
  return to_report(spec::check_closure(fs, loaded, resolved, find_renderers(false), cancel));
}

SignReport sign_bundle(const std::filesystem::path& folder, const SignWith& sign) {
  FileSystem& fs = posix_file_system();
  const std::string statement = vendor::find_document(fs, folder, "statement.json");
  if (statement.empty()) {
    throw Error(
        ErrorCode::not_found,
        fmt::format("{} holds no statement.json and no volume", folder.string()),
        "Name the folder that bundle-make wrote, or one with a copy of its statement.json.");
  }
  const std::string carrier = vendor::find_document(fs, folder, "carrier.json");
  format::FileList files;
  if (!sign.empty()) files = sign_all(fs, sign, statement, carrier);
  SignReport report;
  report.signatures = signature_names(files);
  report.volumes = pack::add_to_bundle(fs, folder, files);
  return report;
}

CosignReport cosign_release(const CosignOptions& options, Progress& progress) {
  FileSystem& fs = posix_file_system();
  const spec::ReleaseSpec spec = spec::load_spec(fs, options.spec);
  if (spec.signatures.empty()) {
    throw Error(
        ErrorCode::spec_invalid,
        fmt::format("{} names no folder for the signatures", options.spec.string()),
        "Add the line 'signatures: signatures' to the release file; the folder need not exist.");
  }
  const attest::ClusterSigner signer = open_cluster_signer(fs, options);
  progress.phase("resolving", 0);
  const spec::ResolvedRelease release = resolve_spec(fs, spec, options.registry, false);
  const auto form =
      options.classic ? attest::SignatureForm::classic : attest::SignatureForm::bundle;
  CosignReport report;
  report.folder = spec.signatures;
  report.public_key = signer.public_key.pem();
  for (const attest::SignedArtifact& artifact :
       attest::sign_release(fs, release.manifest, spec.signatures, signer, form, build_time())) {
    report.artifacts.push_back(
        {artifact.name, artifact.digest.text(), std::string(state_name(artifact.state))});
  }
  return report;
}

std::string generate_key(const std::filesystem::path& name,
                         const std::filesystem::path& password_file, int password_fd,
                         bool allow_no_password) {
  FileSystem& fs = posix_file_system();
  const SecretBytes password = vendor::read_password(fs, password_file, password_fd);
  if (password.view().empty() && !allow_no_password) {
    throw Error(ErrorCode::usage, "no password was given for the new key",
                "Give --password-file FILE or --password-fd N, or say --no-password for a key that "
                "only a protected machine holds.");
  }
  const MinisignSecretKey key = MinisignSecretKey::generate();
  write_key_pair(fs, name, key, password.view());
  return key.public_key().id.text();
}

std::vector<std::filesystem::path> recut_bundle(const std::vector<std::filesystem::path>& sources,
                                                const std::filesystem::path& out,
                                                std::uint64_t volume_size, Progress& progress,
                                                const Cancel& cancel) {
  FileSystem& fs = posix_file_system();
  const unpack::VolumeSet volumes = unpack::open_volumes(fs, sources);
  const auto document = [&](std::string_view name) { return unpack::head_document(volumes, name); };
  // No signature is checked: cutting is not trusting. Leaves are checked against the index, so
  // that damage is found here and not at the site.
  const format::Index index = format::decode_index(as_bytes(document("index")));
  const trust::Statement statement =
      trust::parse_statement(document("statement.json"), "statement.json");
  const auto missing = source::missing_volumes(volumes, {});
  if (!missing.empty()) {
    throw Error(ErrorCode::volume_missing,
                fmt::format("volume {} of {} is not here", fmt::join(missing, ", "), volumes.count),
                "Name all folders that hold volumes of this bundle.");
  }
  pack::VolumeJob job;
  job.bundle_id = volumes.bundle_id;
  job.name = fmt::format("{}-{}", statement.product, statement.version);
  job.head = volumes.head;
  job.tail = volumes.tail;
  job.volume_size = volume_size == 0 ? UINT64_MAX : volume_size;
  const unpack::VolumeLeaves leaves(volumes, index);
  const auto paths = pack::write_volumes(fs, out, job, index, leaves, nullptr, progress, cancel);
  format::FileList loose = volumes.head;
  if (format::find_file(loose, "manifest.json") == nullptr) {
    auto documents = unpack::release_documents(volumes);
    loose.push_back({"manifest.json", std::move(documents.manifest)});
    loose.push_back({"blobs.list", std::move(documents.blob_list)});
  }
  pack::write_loose_files(fs, out, loose, volumes.tail);
  return {paths.begin(), paths.end()};
}

std::string bundle_inventory(const std::vector<std::filesystem::path>& sources) {
  const unpack::VolumeSet volumes = unpack::open_volumes(posix_file_system(), sources);
  std::string list = unpack::release_documents(volumes).blob_list;
  format::decode_blob_list(list, "blobs.list");
  return list;
}

InspectReport inspect_bundle(const std::vector<std::filesystem::path>& sources) {
  FileSystem& fs = posix_file_system();
  const unpack::VolumeSet volumes = unpack::open_volumes(fs, sources);
  const auto document = [&](std::string_view name) { return unpack::head_document(volumes, name); };
  const trust::Statement statement =
      trust::parse_statement(document("statement.json"), "statement.json");
  const format::Index index = format::decode_index(as_bytes(document("index")));
  const release::Manifest manifest =
      release::parse_manifest(unpack::release_documents(volumes).manifest, "manifest.json");

  InspectReport report;
  report.bundle_id = to_hex(volumes.bundle_id);
  report.product = statement.product;
  report.version = statement.version;
  report.release_number = statement.release_number;
  report.created = format_time(statement.created);
  report.expires = format_time(statement.expires);
  report.volumes_total = volumes.count;
  for (const unpack::Volume& volume : volumes.volumes)
    report.volumes_here.push_back(volume.header.number);
  report.blobs = statement.blob_count;
  report.blob_bytes = statement.blob_bytes;
  report.pack_bytes = index.pack_size();
  report.groups = index.groups.size();
  report.leaves = index.leaf_hashes.size();
  const trust::Carrier carrier = trust::parse_carrier(document("carrier.json"), "carrier.json");
  for (const trust::CarrierBase& base : carrier.bases) report.bases.push_back(base.name);
  report.signatures = signature_names(volumes.tail);
  report.upgrade_from = manifest.upgrade_from;
  report.k8s_version = manifest.k8s_version;
  report.os_base = manifest.os_base;
  if (manifest.base_policy) {
    report.base_built = format_time(manifest.base_policy->built);
    report.base_max_age_days = manifest.base_policy->max_age_days;
    report.stale_base = manifest.base_policy->stale_reason;
  }
  for (const release::Artifact* artifact : manifest.artifacts()) {
    const bool chart = artifact == &manifest.chart.artifact;
    const bool image = !artifact->registry.empty();
    const bool is_index = manifest.release_index && artifact == &*manifest.release_index;
    const bool flux = manifest.flux && artifact == &manifest.flux->artifact;
    report.artifacts.push_back({chart      ? "chart"
                                : image    ? "image"
                                : flux     ? "flux"
                                : is_index ? "index"
                                           : "file",
                                artifact->name, artifact->descriptor.digest.text(),
                                artifact->descriptor.media_type});
  }
  return report;
}

}  // namespace bundle
