#include "source/open_bundle.h"

#include <fmt/format.h>

#include <set>

#include "base/time.h"
#include "bundle/error.h"
#include "format/limits.h"

namespace bundle::source {
namespace {

trust::TrustRoot find_by_fingerprint(const std::vector<trust::SignatureFile>& carried,
                                     const std::string& fingerprint) {
  std::vector<trust::RootFile> candidates;
  for (const trust::SignatureFile& file : carried) {
    if (file.name.ends_with(".root.json") || file.name.ends_with(".pub")) {
      candidates.push_back(file);
    }
  }
  auto root = trust::find_root(candidates, fingerprint);
  if (!root) {
    throw Error(
        ErrorCode::no_trust,
        fmt::format("the medium carries no key or root with fingerprint {}", fingerprint),
        "Compare the fingerprint with the one that the vendor told you; if it is right, the "
        "medium is not from them.");
  }
  return *root;
}

void check_manifest(const OpenedBundle& bundle) {
  const trust::Statement& statement = *bundle.head.release;
  const release::Manifest& manifest = bundle.manifest;
  if (manifest.product != statement.product || manifest.version != statement.version ||
      manifest.release_number != statement.release_number) {
    throw Error(ErrorCode::statement_mismatch,
                fmt::format("manifest.json is of {} {}, the statement of {} {}", manifest.product,
                            manifest.version, statement.product, statement.version),
                "The bundle was made wrong: ask the vendor for a new one.");
  }
  for (const release::Artifact* artifact : manifest.artifacts()) {
    if (unpack::find_blob(bundle.head.blobs, artifact->descriptor.digest) == nullptr) {
      throw Error(ErrorCode::manifest_invalid,
                  fmt::format("{} is not among the release's blobs", artifact->name),
                  "The bundle was made wrong: ask the vendor for a new one.");
    }
  }
}

}  // namespace

trust::TrustRoot choose_root(FileSystem& fs, const std::vector<trust::SignatureFile>& carried,
                             const TrustChoice& trust) {
  if (trust.state != nullptr && trust.state->current()) return *trust.state->current();
  if (!trust.file.empty()) {
    const std::string text = read_text_file(fs, trust.file, format::kMaxDocumentBytes);
    return trust::TrustRoot::load(text, trust.file.string());
  }
  if (!trust.fingerprint.empty()) return find_by_fingerprint(carried, trust.fingerprint);
  throw Error(
      ErrorCode::no_trust, "nothing says whose signature to trust",
      "Give the vendor's public key or root: --trust FILE; or --trust-fingerprint FP with the "
      "fingerprint that the vendor told you by another way.");
}

namespace {

release::Manifest read_manifest(const unpack::VolumeSet& volumes, const unpack::VerifiedHead& head,
                                const TrustChoice& trust) {
  try {
    return release::parse_manifest(head.manifest, "manifest.json");
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported || !trust.on_newer) throw;
    throw Error(ErrorCode::unsupported,
                fmt::format("release {}: {}", head.release->version, error.message()),
                trust.on_newer(volumes, head));
  }
}

}  // namespace

OpenedBundle open_bundle(FileSystem& fs, const std::vector<std::filesystem::path>& sources,
                         const TrustChoice& trust) {
  return open_bundle(fs, unpack::open_volumes(fs, sources), trust);
}

OpenedBundle open_bundle(FileSystem& fs, unpack::VolumeSet volumes, const TrustChoice& trust) {
  trust::TrustRoot chosen = choose_root(fs, unpack::carried_files(volumes), trust);
  trust::TrustRoot root = chosen;
  if (const auto chain = unpack::carried_roots(volumes); !chain.empty())
    root = root.update_all(chain);
  const UnixTime clock = current_time();
  const UnixTime now = trust.state != nullptr ? trust.state->effective_now(clock) : clock;
  try {
    unpack::VerifiedHead head = unpack::verify_head(volumes, root, now);
    release::Manifest manifest = read_manifest(volumes, head, trust);
    trust::News news = trust::read_news(root, unpack::carried_files(volumes), now);
    OpenedBundle opened{std::move(volumes), std::move(chosen),   std::move(root),
                        std::move(head),    std::move(manifest), std::move(news)};
    check_manifest(opened);
    return opened;
  } catch (const Error& error) {
    if (trust.state == nullptr) throw;
    throw trust.state->explain(error, clock);
  }
}

std::vector<std::uint32_t> missing_volumes(const unpack::VolumeSet& volumes,
                                           const std::vector<std::uint32_t>& seen) {
  std::set<std::uint32_t> here(seen.begin(), seen.end());
  for (const unpack::Volume& volume : volumes.volumes) {
    if (volume.header.count == volumes.count) here.insert(volume.header.number);
  }
  std::vector<std::uint32_t> missing;
  for (std::uint32_t number = 1; number <= volumes.count; ++number) {
    if (!here.contains(number)) missing.push_back(number);
  }
  return missing;
}

}  // namespace bundle::source
