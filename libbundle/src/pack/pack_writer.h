// Collects plain bytes into streams, cuts streams into groups, compresses groups on several
// threads, and keeps the packs in one temporary file until volumes are written from it.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <vector>

#include "base/thread_pool.h"
#include "codec/zstd.h"
#include "format/index.h"
#include "io/file_system.h"
#include "pack/reference_set.h"
#include "unpack/leaf_source.h"

namespace bundle::pack {

// What the streams hold. A reader does not care; alike bytes together compress better.
enum class Stream : std::uint8_t {
  recipes = format::kRecipeStream,
  content = 1,  // file bodies, blocks of disk images, documents
  headers = 2,  // tar headers and padding
  opaque = 3,   // what does not compress: stored fast
};

struct PackProfile {
  int level = 19;
  // Of content, plain bytes: what one frame can point into. Of a delta a group is three times in
  // memory, with its difference and its reference.
  std::uint32_t group_size = 32 << 20;
  std::uint32_t side_group_size = 8 << 20;  // of the other streams: importers hold them beside it
  // Of a delta: base bytes that one group may point into. Importers hold both at once.
  std::uint64_t reference_size = 32 << 20;
  std::size_t jobs = 2;
  unsigned import_budget = 0;  // codec::replay_cost() of what is stored inflated; 0: any

  static PackProfile release(int level, std::size_t jobs);
  static PackProfile fast(std::size_t jobs);  // for CI: level 3, little memory
};

// Same appends, same bytes, whatever the number of jobs. One thread calls; memory: jobs + 2 groups
// plain and packed, of a delta their references too, plus one zstd encoder a job.
class PackWriter {
 public:
  // Gives the bytes of base runs, for the references of groups.
  using ReadBase = std::function<void(const format::Run&, Sink&)>;

  // Without `read_base` no group may have references.
  PackWriter(FileSystem& fs, const Path& temp_directory, const PackProfile& profile,
             ReadBase read_base = {});
  ~PackWriter();

  std::uint32_t group_size(Stream stream) const {
    return stream == Stream::content ? profile_.group_size : profile_.side_group_size;
  }
  // Returns where in the stream the bytes begin. `references` are base runs with similar bytes: the
  // group's frame can point into them.
  std::uint64_t append(Stream stream, ByteView bytes,
                       const std::vector<format::Run>& references = {});
  // Closes all groups. Recipes' groups come first in the index, so that volumes can repeat them.
  // Fills groups and leaf_hashes.
  void finish(format::Index& index);

  // The packs, readable after finish(): leaves by the numbers of that index.
  std::unique_ptr<unpack::LeafSource> leaves() const;
  // Gives back the disk space of a leaf that has been copied to its volume.
  void discard(std::uint32_t leaf, std::uint32_t size);

 private:
  struct Packed {
    format::Group group;
    std::vector<Digest> leaf_hashes;
    Bytes bytes;
  };
  class TempLeaves;

  // A group that is being filled, then compressed.
  struct Open {
    Bytes plain;
    ReferenceSet references;
    Bytes prefix;  // the references' bytes
    format::Group group;
  };
  enum class Effort : std::uint8_t { release, opaque, referenced };
  static constexpr std::size_t kEfforts = 3;

  void add_references(Stream stream, const std::vector<format::Run>& references);
  void close_group(Stream stream);
  void write_reference(Open& open);
  void store_oldest();
  Packed compress(Open& open);
  static void try_difference(const Open& open, codec::ZstdCompressor& compressor, Packed& packed);
  std::unique_ptr<codec::ZstdCompressor> take_compressor(Effort effort);
  void give_compressor(Effort effort, std::unique_ptr<codec::ZstdCompressor> compressor);

  PackProfile profile_;
  std::unique_ptr<AnonymousFile> file_;
  ReadBase read_base_;
  std::array<Open, format::kStreamCount> open_;
  std::array<std::uint64_t, format::kStreamCount> position_{};
  std::vector<Packed> done_;                 // without bytes, in file order
  std::vector<std::uint64_t> file_offsets_;  // of leaves, by the finished index
  std::mutex compressors_mutex_;
  std::array<std::vector<std::unique_ptr<codec::ZstdCompressor>>, kEfforts> compressors_;
  std::deque<std::future<Packed>> under_way_;
  ThreadPool pool_;  // last member: its threads end first
};

}  // namespace bundle::pack
