// The release that a delta builds on, read out of its own full bundle.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "format/blob_list.h"
#include "format/recipe.h"
#include "io/file_system.h"
#include "unpack/group_reader.h"
#include "unpack/volume_set.h"

namespace bundle::pack {

// Plain bytes of any blob of a bundle at any offset, without playing an encoder: what a base run
// will read at the site. No signature is checked (it is the builder's own bundle); every leaf is
// checked against the index, and what a damaged base would spoil is refused at the site by digest.
// Thread-safe after construction. Memory: 64 MiB of groups and about 40 bytes a recipe run.
class BaseBundle {
 public:
  // All volumes of a full bundle. Throws what unpack::open_volumes throws, Error{volume_missing},
  // Error{usage} when the bundle is a delta itself.
  BaseBundle(FileSystem& fs, const Path& folder);
  ~BaseBundle();

  const std::string& name() const { return name_; }  // the release version
  const std::string& blob_list() const { return blob_list_; }

  struct Blob {
    Digest digest;
    std::uint8_t source = format::kBaseSource;  // how base runs read it
    std::uint64_t size = 0;                     // of the bytes that they read
  };
  // Blobs whose bytes can be read, in the order in which that is fastest.
  const std::vector<Blob>& readable() const { return readable_; }
  // A deflate stream of a disk (pack/grain_packer.h), where it is in the blob.
  struct Grain {
    Digest blob;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    codec::EncoderSpec spec;
    format::Run plain;
  };
  const std::vector<Grain>& grains() const { return grains_; }
  // What it inflates to.
  Bytes plain_of(const Grain& grain) const;
  // Throws Error{not_found} past the end, and what GroupReader throws.
  void read(const Digest& blob, std::uint64_t offset, std::uint64_t length, Sink& out) const;

 private:
  struct Piece {
    std::uint64_t offset = 0;  // in the blob's plain bytes
    format::Run run;
  };
  void load(const format::IndexedBlob& blob);
  void add_grains(std::vector<Grain> grains);
  std::uint64_t corrections_size(const format::Run& run) const;
  // From byte `within` of the run on, up to the end of its group; returns how many.
  std::uint64_t write_part(const format::Run& run, std::uint64_t within, std::uint64_t length,
                           Sink& out) const;

  std::string name_;
  std::string blob_list_;
  unpack::VolumeSet volumes_;
  format::Index index_;
  std::unique_ptr<unpack::VolumeLeaves> leaves_;
  std::unique_ptr<unpack::GroupReader> groups_;
  std::vector<Blob> readable_;
  std::vector<Grain> grains_;
  std::unordered_map<Digest, std::vector<Piece>> pieces_;
};

}  // namespace bundle::pack
