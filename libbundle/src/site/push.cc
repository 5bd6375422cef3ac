#include "bundle/push.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <set>

#include "bundle/error.h"
#include "release/naming.h"
#include "source/report.h"
#include "source/site_release.h"
#include "store/release_source.h"
#include "transfer/registry_push.h"

namespace bundle {
namespace {

using release::Artifact;
using transfer::PushArtifact;
using transfer::PushState;

// REGISTRY[/PREFIX].
oci::ImageName parse_target(const std::string& text) {
  oci::ImageName target;
  const auto slash = text.find('/');
  target.registry = text.substr(0, slash);
  if (slash != std::string::npos) target.repository = text.substr(slash + 1);
  const bool good = oci::is_valid_registry(target.registry) &&
                    (slash == std::string::npos || oci::is_valid_repository(target.repository));
  if (good) return target;
  throw Error(ErrorCode::usage, fmt::format("'{}' is no registry", text),
              "Write HOST[:PORT][/PREFIX], like registry.example.com:5000/mirror; lower case, no "
              "https://.");
}

std::string repository_of(const Artifact& artifact, PushNames names) {
  if (artifact.registry.empty() || names == PushNames::repository) return artifact.repository;
  // A port's colon has no place in a repository's name.
  return fmt::format("{}/{}", release::repository_component(artifact.registry),
                     artifact.repository);
}

oci::ImageName target_name(const Artifact& artifact, const oci::ImageName& to, PushNames names) {
  oci::ImageName name = to;
  name.repository += (to.repository.empty() ? "" : "/") + repository_of(artifact, names);
  name.tag = artifact.tag;
  if (name.repository_text().size() > oci::kMaxImageName) {
    throw Error(
        ErrorCode::limit,
        fmt::format("{} has more than {} characters", name.repository_text(), oci::kMaxImageName),
        "Choose a shorter prefix.");
  }
  return name;
}

// Two images of one name would take each other's tag, and nodes would get either.
void check_names(const std::vector<const Artifact*>& artifacts,
                 const std::vector<PushArtifact>& targets) {
  std::map<std::string, const Artifact*> taken;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].target.tag.empty()) continue;
    const auto [at, is_new] = taken.emplace(targets[i].target.text(), artifacts[i]);
    if (is_new || at->second->descriptor.digest == artifacts[i]->descriptor.digest) continue;
    throw Error(
        ErrorCode::name_collision,
        fmt::format("{} and {} would both be {}", at->second->name, artifacts[i]->name, at->first),
        "Push with full names: --names full.");
  }
}

std::shared_ptr<transfer::RegistryClient> open_client(FileSystem& fs, const PushOptions& options,
                                                      Progress& progress, const Cancel& cancel) {
  transfer::RegistryOptions registry;
  if (!options.access.auth_file.empty()) registry.auth_file = options.access.auth_file;
  registry.insecure_registries = options.access.insecure;
  if (!options.access.ca_file.empty()) {
    registry.http.tls = transfer::load_tls_files(fs, options.access.ca_file);
  }
  registry.http.cancel = &cancel;
  registry.http.on_wait = [&progress](const std::string& why) { progress.note(why); };
  return std::make_shared<transfer::RegistryClient>(fs, std::move(registry));
}

const char* state_text(PushState state) {
  switch (state) {
    case PushState::present:
      return "present";
    case PushState::pushed:
      return "pushed";
    case PushState::pending:
      return "pending";
    case PushState::failed:
      break;
  }
  return "failed";
}

PushedArtifact describe_pushed(const Artifact& artifact, const PushArtifact& pushed,
                               const transfer::PushResult& result) {
  PushedArtifact entry;
  entry.name = artifact.name;
  entry.target = pushed.target.text();
  entry.digest = artifact.descriptor.digest.text();
  entry.state = state_text(result.state);
  entry.documents = result.documents;
  entry.note = result.note;
  if (result.error) {
    entry.exit_status = exit_status(result.error->code());
    entry.message = result.error->message();
    entry.hint = result.error->hint();
  }
  return entry;
}

}  // namespace

PushReport push_release(const PushOptions& options, Progress& progress, const Cancel& cancel) {
  const auto start = std::chrono::steady_clock::now();
  const oci::ImageName to = parse_target(options.to);
  const auto store = source::open_store(options.store);
  source::require_good_release(*store, options.version);
  const release::Manifest manifest = source::read_manifest(*store, options.version);
  const std::vector<const Artifact*> artifacts = manifest.artifacts();

  transfer::PushWork work;
  auto carried = std::make_shared<std::set<Digest>>();
  for (const auto& blob : store->release_blobs(options.version)) carried->insert(blob.digest);
  for (const Artifact* artifact : artifacts) {
    work.artifacts.push_back({target_name(*artifact, to, options.names),
                              store::open_release_source(store, carried, *artifact)});
  }
  check_names(artifacts, work.artifacts);
  work.open_blob = [&](const oci::Descriptor& blob) {
    if (const std::string problem = store->blob_problem({blob.digest, blob.size}, cancel);
        !problem.empty()) {
      throw Error(ErrorCode::store_corrupt,
                  fmt::format("blob {} in the store {}", blob.digest.text(), problem),
                  "Import the release again: it repairs the store. Nothing of it was pushed.");
    }
    return store->open_blob(blob.digest);
  };
  work.dry_run = options.dry_run;
  work.recheck = options.recheck;
  work.single_platform = options.single_platform;
  work.workers = options.connections;
  work.chunk_bytes = options.chunk_bytes;
  work.bytes_per_second = options.bytes_per_second;

  transfer::PushTotals totals;
  const auto results = transfer::push_artifacts(open_client(store->fs(), options, progress, cancel),
                                                work, totals, progress, cancel);
  PushReport report{
      manifest.product, manifest.version, options.to, options.dry_run, {}, 0, 0, 0, 0, 0};
  for (std::size_t i = 0; i < results.size(); ++i) {
    report.artifacts.push_back(describe_pushed(*artifacts[i], work.artifacts[i], results[i]));
  }
  report.blobs_present = totals.blobs_present;
  report.blobs_mounted = totals.blobs_mounted;
  report.blobs_sent = totals.blobs_sent;
  report.bytes_sent = totals.bytes_sent;
  report.seconds = source::seconds_since(start);
  return report;
}

}  // namespace bundle
