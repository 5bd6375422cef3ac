// Collects plain bytes into streams, cuts streams into groups, compresses groups on several
// threads, and keeps the packs in one temporary file until volumes are written from it.
#pragma once

#include <array>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <vector>

#include "base/thread_pool.h"
#include "codec/zstd.h"
#include "format/index.h"
#include "io/file_system.h"
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
  std::uint32_t group_size = 16 << 20;  // plain bytes
  std::size_t jobs = 2;

  static PackProfile release(int level, std::size_t jobs);
  static PackProfile fast(std::size_t jobs);  // for CI: level 3, little memory
};

// Same appends, same bytes, whatever the number of jobs. One thread calls; memory: jobs + 2 groups
// plain and packed, plus one zstd encoder a job.
class PackWriter {
 public:
  PackWriter(FileSystem& fs, const Path& temp_directory, const PackProfile& profile);
  ~PackWriter();

  std::uint32_t group_size() const { return profile_.group_size; }
  // Returns where in the stream the bytes begin.
  std::uint64_t append(Stream stream, ByteView bytes);
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

  void close_group(Stream stream);
  void store_oldest();
  Packed compress(Stream stream, const Bytes& plain);
  std::unique_ptr<codec::ZstdCompressor> take_compressor(bool opaque);
  void give_compressor(bool opaque, std::unique_ptr<codec::ZstdCompressor> compressor);

  PackProfile profile_;
  std::unique_ptr<AnonymousFile> file_;
  std::array<Bytes, format::kStreamCount> open_;
  std::array<std::uint64_t, format::kStreamCount> position_{};
  std::vector<Packed> done_;                   // without bytes, in file order
  std::vector<std::uint64_t> file_offsets_;    // of leaves, by the finished index
  std::mutex compressors_mutex_;
  std::array<std::vector<std::unique_ptr<codec::ZstdCompressor>>, 2> compressors_;
  std::deque<std::future<Packed>> under_way_;
  ThreadPool pool_;  // last member: its threads end first
};

}  // namespace bundle::pack
