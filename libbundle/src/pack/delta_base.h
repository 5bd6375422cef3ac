// What a delta builds on: which blobs every base has, where equal and similar content lies in them.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "bundle/progress.h"
#include "pack/base_bundle.h"
#include "pack/sketch.h"
#include "trust/carrier.h"

namespace bundle::pack {

// Where an object came from, for finding its older self.
struct FilePlace {
  std::string path;            // empty: not from an archive
  std::uint64_t size = 0;      // of the file
  std::uint64_t position = 0;  // of the object in it
};

// A delta can be imported where any one of the bases is complete: only blobs that all bases have
// are built on. Contents are known of bases that are bundles; of an inventory only the names of its
// blobs, which is enough to leave equal blobs out.
// One thread fills and asks; read() is thread-safe. Memory: about 150 bytes an object of the base.
class DeltaBase {
 public:
  // A bundle's folder, or an inventory: a blob list (blobs.list, `have`). Throws Error{usage},
  // Error{not_found} and what BaseBundle throws.
  void add(FileSystem& fs, const Path& base);
  // After the last add(): reads the contents.
  void scan(Progress& progress, const Cancel& cancel);

  bool has_blob(const format::BlobEntry& blob) const;
  const std::vector<trust::CarrierBase>& bases() const { return bases_; }

  // A new blob is packed: places of the last one mean nothing any more.
  void begin_blob();
  // Equal bytes in the base, as a run, where reading them at the site is worth it.
  std::optional<format::Run> copy(ByteView object);
  // A grain of a disk: its deflate stream in the base, if the same encoder made it of equal bytes.
  std::optional<format::Run> copy_grain(const codec::EncoderSpec& spec, ByteView plain);
  bool has_grains() const { return !grains_.empty(); }
  // A header only where it goes on from the run before: single ones cost less when stored.
  std::optional<format::Run> copy_header(ByteView header);
  // Base runs that are like the object. May be empty.
  std::vector<format::Run> similar(ByteView object, const FilePlace& place);
  std::vector<format::Run> similar_header(const std::string& path);

  // The blobs that runs name so far, by their numbers.
  std::vector<format::BlobEntry> base_list() const;
  void read(const format::Run& run, Sink& out) const;

 private:
  struct Blob {  // of the base, readable
    const BaseBundle* bundle = nullptr;
    BaseBundle::Blob content;
    std::uint64_t file_size = 0;
    std::optional<std::uint32_t> number;  // in bases.list
  };
  struct Place {
    std::uint32_t blob = 0;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  class Scanner;

  void intersect(const std::vector<format::BlobEntry>& blobs);
  void scan_grains(const BaseBundle& bundle, const Cancel& cancel);
  void note_object(const Digest& digest, const Place& place);
  const Place* best_place(const Digest& digest) const;
  const Place* find_file(const std::string& path, std::uint64_t size) const;
  std::optional<Place> find_alike(ByteView object) const;
  format::Run take(const Place& place);
  format::Run to_run(const Place& place);
  Place widen(const Place& place, std::uint64_t margin) const;

  std::vector<trust::CarrierBase> bases_;
  std::vector<format::BlobEntry> common_;  // in all bases, sorted
  std::list<BaseBundle> bundles_;
  std::vector<Blob> blobs_;
  std::vector<std::uint32_t> numbered_;  // blobs by number
  std::unordered_map<Digest, std::vector<Place>> objects_;
  std::unordered_map<std::string, std::vector<Place>> files_;  // by path, and with digits blanked
  std::unordered_map<std::string, std::vector<Place>> headers_;
  std::unordered_map<std::uint64_t, Place> sketches_;
  std::unordered_map<Digest, Place> grains_;
  // Of the blob that is packed now:
  std::unordered_map<std::uint32_t, std::uint64_t>
      read_to_;                // base blob to the end of its last run
  std::optional<Place> last_;  // the last base bytes used or referenced
};

}  // namespace bundle::pack
