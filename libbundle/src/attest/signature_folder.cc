#include "attest/signature_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "bundle/error.h"
#include "oci/document.h"
#include "oci/layout.h"
#include "oci/walk.h"

namespace bundle::attest {
namespace {

constexpr std::string_view kMarker = "oci-layout";
constexpr std::string_view kMarkerText = "{\"imageLayoutVersion\":\"1.0.0\"}";
constexpr std::string_view kIndex = "index.json";

Path blob_path(const Digest& digest) {
  return Path("blobs") / "sha256" / digest.hex();
}

bool has_upstream_signature(const release::Artifact& artifact) {
  return std::ranges::any_of(artifact.referrers, [&](const release::Referrer& referrer) {
    return referrer.subject == artifact.descriptor.digest &&
           (referrer.tag.ends_with(".sig") ||
            referrer.descriptor.artifact_type.starts_with(kSigstoreBundlePrefix));
  });
}

// The layout as it will be: entries in the order of signing, and the blobs that they need.
class Folder {
 public:
  Folder(FileSystem& fs, const Path& path) : fs_(fs), path_(path) {
    if (!fs_.status(path_ / kIndex)) {
      if (fs_.status(path_) && !fs_.list(path_).empty()) {
        throw Error(ErrorCode::oci_invalid,
                    fmt::format("{} is neither empty nor a folder of signatures", path_.string()),
                    "Name a new folder under 'signatures' in the release file.");
      }
      return;
    }
    present_ = oci::open_layout_entries(fs_, path_);
  }

  // Keeps what the folder has for this subject; false when there is nothing that holds.
  bool keep(const Digest& subject, const EcdsaPublicKey& key, SignatureForm form) {
    for (const oci::LayoutEntry& entry : present_) {
      const bool is_classic = !entry.tag.empty();
      if (is_classic != (form == SignatureForm::classic)) continue;
      if (!signature_holds(*entry.source, entry.tag, subject, key)) continue;
      const oci::Closure closure = oci::walk(*entry.source, {{}, false});
      list(closure.root.descriptor, entry.tag);
      for (const oci::Descriptor& blob : closure.blobs) needed_.insert(blob.digest);
      return true;
    }
    return false;
  }

  void add(const SignatureArtifact& signature) {
    for (const oci::ArtifactBlob& blob : signature.artifact.blobs) {
      write(blob.descriptor.digest, blob.bytes);
    }
    const oci::Document& manifest = signature.artifact.manifest;
    write(manifest.descriptor.digest, manifest.bytes);
    list(manifest.descriptor, signature.tag);
  }

  // The index last: until then the folder is what it was.
  void finish() {
    fs_.create_directories(path_ / "blobs" / "sha256");
    oci::Index index;
    index.media_type = oci::media_type::kIndex;
    index.manifests = entries_;
    write_file_atomically(fs_, path_ / kMarker, as_bytes(kMarkerText));
    write_file_atomically(fs_, path_ / kIndex, oci::make_index(index).bytes);
    for (const std::string& name : fs_.list(path_ / "blobs" / "sha256")) {
      if (Digest::is_valid("sha256:" + name) &&
          !needed_.contains(Digest::parse("sha256:" + name))) {
        fs_.remove(path_ / "blobs" / "sha256" / name);
      }
    }
  }

 private:
  void list(const oci::Descriptor& manifest, const std::string& tag) {
    oci::Descriptor entry;
    entry.media_type = manifest.media_type;
    entry.digest = manifest.digest;
    entry.size = manifest.size;
    if (!tag.empty()) entry.annotations = {{std::string(oci::annotation::kRefName), tag}};
    entries_.push_back(std::move(entry));
    needed_.insert(manifest.digest);
  }

  void write(const Digest& digest, ByteView bytes) {
    needed_.insert(digest);
    fs_.create_directories(path_ / "blobs" / "sha256");
    write_file_atomically(fs_, path_ / blob_path(digest), bytes);
  }

  FileSystem& fs_;
  const Path& path_;
  std::vector<oci::LayoutEntry> present_;
  std::vector<oci::Descriptor> entries_;
  std::set<Digest> needed_;
};

}  // namespace

std::vector<SignedArtifact> sign_release(FileSystem& fs, const release::Manifest& manifest,
                                         const Path& folder, const ClusterSigner& signer,
                                         SignatureForm form, UnixTime created) {
  Folder signatures(fs, folder);
  std::vector<SignedArtifact> out;
  std::map<Digest, SigningState> done;  // one image may have several names
  for (const release::Artifact* artifact : manifest.artifacts()) {
    const Digest& digest = artifact->descriptor.digest;
    SigningState state = SigningState::made;
    if (const auto known = done.find(digest); known != done.end()) {
      state = known->second;
    } else if (has_upstream_signature(*artifact)) {
      state = SigningState::upstream;
    } else if (signatures.keep(digest, signer.public_key, form)) {
      state = SigningState::kept;
    } else {
      const std::string repository = artifact->registry.empty()
                                         ? artifact->repository
                                         : artifact->registry + "/" + artifact->repository;
      signatures.add(sign_artifact(artifact->descriptor, repository, signer, form, created));
    }
    done.emplace(digest, state);
    out.push_back({artifact->name, digest, state});
  }
  signatures.finish();
  return out;
}

}  // namespace bundle::attest
