#include "source/site_release.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "format/limits.h"
#include "io/safe_path.h"
#include "source/trust_report.h"
#include "trust/news_files.h"

namespace bundle::source {

using store::BlobEntry;
using store::SiteStore;

std::shared_ptr<SiteStore> open_store(const Path& root) {
  return SiteStore::open(posix_file_system(), root);
}

std::vector<BlobEntry> absent_blobs(const SiteStore& store, const std::string& version) {
  std::vector<BlobEntry> absent;
  for (const BlobEntry& blob : store.release_blobs(version)) {
    if (!store.has_blob(blob)) absent.push_back(blob);
  }
  return absent;
}

release::Manifest read_manifest(const SiteStore& store, const std::string& version) {
  return release::parse_manifest(store.release_manifest(version),
                                 (store.release_dir(version) / "manifest.json").string());
}

trust::VerifiedRelease verify_release(const SiteStore& store, const trust::TrustState& state,
                                      const std::string& version) {
  const Path folder = store.release_dir(version);
  std::vector<trust::SignatureFile> signatures;
  for (const std::string& name : store.fs().list(folder)) {
    if (!name.ends_with(".minisig")) continue;
    signatures.push_back({(folder / name).string(),
                          read_text_file(store.fs(), folder / name, format::kMaxDocumentBytes)});
  }
  const Path path = folder / "statement.json";
  trust::VerifiedRelease release = state.require_root().verify_release(
      read_text_file(store.fs(), path, format::kMaxDocumentBytes), signatures, std::nullopt,
      path.string());
  if (release->version == version) return release;
  throw Error(ErrorCode::store_corrupt,
              fmt::format("{} is the statement of release {}", path.string(), release->version),
              "Import the release again: it repairs the store.");
}

void verify_documents(const SiteStore& store, const trust::VerifiedRelease& release) {
  const Path folder = store.release_dir(release->version);
  const auto check = [&](const char* name, const Digest& digest) {
    const Bytes content = read_file(store.fs(), folder / name, format::kMaxBlobListBytes);
    if (sha256(content) == digest) return;
    throw Error(ErrorCode::store_corrupt,
                fmt::format("{} does not match its signed digest", (folder / name).string()),
                "Import the release again: it repairs the store.");
  };
  check("manifest.json", release->manifest_digest);
  check("blobs.list", release->blob_list_digest);
}

trust::VerifiedRelease require_good_release(const SiteStore& store, const std::string& version) {
  store.release(version);  // throws when it is not there
  const trust::TrustState state(store.fs(), store.trust_dir());
  trust::VerifiedRelease release = verify_release(store, state, version);
  verify_documents(store, release);
  state.check_revoked(release);
  const auto absent = absent_blobs(store, version);
  if (absent.empty()) return release;
  throw Error(ErrorCode::release_incomplete,
              fmt::format("release {} lacks {} blobs in the store, the first is {}", version,
                          absent.size(), absent.front().digest.text()),
              "Import the release again: only what is missing is written.");
}

std::vector<trust::SignatureFile> site_trust_files(const SiteStore& store,
                                                   const std::string& product) {
  std::vector<trust::SignatureFile> files;
  for (const Path& folder : {store.trust_dir(), join_safely(store.trust_dir(), product, "product"),
                             join_safely(store.root() / "channels", product, "product")}) {
    for (trust::SignatureFile& file : trust::read_trust_files(store.fs(), folder)) {
      file.name = base_name(file.name);
      files.push_back(std::move(file));
    }
  }
  return files;
}

}  // namespace bundle::source
