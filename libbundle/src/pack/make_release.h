// From a resolved release to volumes on disk.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bundle/progress.h"
#include "format/volume.h"
#include "io/file_system.h"
#include "pack/blob_packer.h"
#include "pack/volume_writer.h"
#include "spec/resolve.h"

namespace bundle::pack {

struct MakeJob {
  Path out;
  PackProfile profile;
  DeltaBase* base = nullptr;  // of a delta; scanned
  std::uint64_t volume_size = kDefaultVolumeSize;
  format::FileList roots;  // "<N>.root.json" files that travel along
  // What the release is to say about itself: SBOM and provenance, made of what is found in the
  // blobs while they are packed. Null: nothing.
  attest::ReleaseAttestor* attestor = nullptr;
  // Given statement.json and carrier.json, the signature files. May be empty: sign later.
  std::function<format::FileList(const std::string& statement, const std::string& carrier)> sign;
};

struct MadeRelease {
  std::vector<Path> volumes;
  std::string statement;  // statement.json
  std::string carrier;    // carrier.json
  std::uint64_t pack_bytes = 0;
  std::uint64_t bundle_bytes = 0;
  std::uint64_t blobs = 0;
  std::uint64_t omitted_blobs = 0;  // of a delta: left out, because every base has them
  PackStats stats;
};

// Takes the release: what the attestor has to say becomes part of it.
// Equal inputs give byte-identical output. Packs go through one temporary file in `out`, whose
// space is given back while volumes are written from it: peak disk is the bundle plus one volume's
// repeated parts. Memory: the pack writer's and the blob packer's.
MadeRelease make_release(FileSystem& fs, spec::ResolvedRelease release, const MakeJob& job,
                         Progress& progress, const Cancel& cancel);

// A release that was made and signed before: its documents to the byte.
struct SignedRelease {
  std::string name;                    // what volumes are called: "example-appliance-1.4.0"
  std::string statement;               // statement.json
  std::string manifest;                // manifest.json
  std::string blob_list;               // blobs.list
  std::vector<spec::BlobInput> blobs;  // all of the release; alike ones beside each other
};

// Packs it again, into a full bundle; `job` has neither base nor attestor, and its `roots` are all
// that travels in the tail beside what `sign` gives. The statement stays, and with it the release;
// only the carrier is new. Otherwise as make_release().
MadeRelease pack_signed_release(FileSystem& fs, const SignedRelease& release, const MakeJob& job,
                                Progress& progress, const Cancel& cancel);

}  // namespace bundle::pack
